"""The Runs page and its API with 5,000 runs: every kind of filter, every kind of sort.

Percentiles are of single requests from one client, over HTTP, gzip and all.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import httpx
from sqlalchemy import insert, update

from bench.filling import METRICS, curve
from bench.processes import free_port, started, wait_ready
from bench.web import SERVER
from store import series
from store.database import open_store
from store.runs import add_run
from store.settings import Settings
from store.tables import EVALUATIONS, RUN_TAGS, RUNS
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec

RUNS_SEEDED = 5_000
EPOCHS = 20
ROUNDS = 25
LIMIT_MS = 200
ARCHITECTURES = ("resnet18", "resnet50", "mobilenet_v3_small", "efficientnet_b0", "vit_b_16")
DATASETS = ("digits", "hymenoptera", "cifar10")
FILTERS = {
    "none": "",
    "status": "status = failed",
    "tag": "tag = paper",
    "owner": "owner = ann",
    "dataset": "dataset in (digits, cifar10)",
    "architecture": "architecture ~ resnet",
    "note": "note ~ broken",
    "text": '"run 49"',
    "study": "study = unset",
    "date": "created > 30d",
    "elapsed": "elapsed > 1min",
    "spec number": "optimizer.lr < 0.01",
    "spec choice": "scheduler.name = cosine",
    "spec text": "model.weights != none",
    "spec flag": "training.deterministic = no",
    "metric": "best_val_accuracy > 90%",
    "metric last": "last_val_loss < 0.1",
    "evaluation": "val.macro_f1 > 0.9",
    "parameters": "parameters > 1e6",
    "matches nothing": "best_val_accuracy > 2",
    "issue's": "optimizer.lr < 0.01 and best_val_accuracy > 0.9 and tag = paper "
    "or not status = failed",
    "long": " or ".join(f"(optimizer.lr < {n / 1000} and tag != paper)" for n in range(1, 20)),
    "long, evaluation": " and ".join(f"val.macro_f1 > {n / 1e4}" for n in range(1, 60)),
}
SORTS = (
    "-id",
    "id",
    "name",
    "-created",
    "status",
    "dataset",
    "-elapsed",
    "-parameters",
    "architecture",
    "-best_val_accuracy",
    "last_val_loss",
    "-optimizer.lr",
    "scheduler.name",
    "-val.macro_f1",
    "optimizer.momentum",
)


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(Settings(data_dir=folder), RUNS_SEEDED)
        port = free_port()
        with started([*SERVER, "--port", str(port)], folder, port):
            wait_ready(port)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                for address in ("/runs", "/api/v1/runs"):  # templates are compiled once
                    client.get(address).raise_for_status()
                yield from _report(client)


def _report(client: httpx.Client) -> Iterator[str]:
    asked = {f"filter by {name}": {"filter": text} for name, text in FILTERS.items() if text}
    asked |= {f"sort by {name}": {"sort": name} for name in SORTS}
    asked["filter and sort"] = {"filter": FILTERS["issue's"], "sort": "-best_val_accuracy"}
    pages = {"the page": _taken(client, "/runs", {})}
    pages |= {f"page, {name}": _taken(client, "/runs", one) for name, one in asked.items()}
    yield from _lines("page", pages)
    answers = {"the list": _taken(client, "/api/v1/runs", {})}
    answers |= {name: _taken(client, "/api/v1/runs", one) for name, one in asked.items()}
    yield from _lines("API", answers)
    yield _walk(client)


def _lines(what: str, measured: dict[str, list[float]]) -> Iterator[str]:
    first = next(iter(measured))
    worst = sorted(measured, key=lambda name: -_p95(measured[name]))
    yield (
        f"{first}: median {statistics.median(measured[first]):.0f} ms, "
        f"95th percentile {_p95(measured[first]):.0f} ms (at most {LIMIT_MS})"
    )
    named = ", ".join(f"{name} {_p95(measured[name]):.0f} ms" for name in worst[:4])
    yield f"{what}: 95th percentile of every filter and sort at most: {named}"


def _walk(client: httpx.Client) -> str:
    """Say that the pages of a sort with many ties hold every run once."""
    seen: list[int] = []
    cursor: str | None = ""
    taken = []
    while cursor is not None:
        query = {"sort": "-optimizer.lr", "limit": "500", "cursor": cursor}
        start = time.perf_counter()
        answer = client.get("/api/v1/runs", params={k: v for k, v in query.items() if v}).json()
        taken.append((time.perf_counter() - start) * 1000)
        seen += [run["id"] for run in answer["runs"]]
        cursor = answer["next_cursor"]
    whole = sorted(seen) == list(range(1, RUNS_SEEDED + 1))
    return f"all {len(seen):,} in pages of 500: each once: {whole}; a page {max(taken):.0f} ms"


def _taken(client: httpx.Client, address: str, query: dict[str, str]) -> list[float]:
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        answer = client.get(f"{address}?{urlencode(query)}")
        found.append((time.perf_counter() - start) * 1000)
        answer.raise_for_status()
    return found


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def fill(settings: Settings, count: int) -> None:
    """Fill a data directory with runs of many specs, tags and ends."""
    store = open_store(settings)
    store.migrate()
    noise = random.Random(0)  # noqa: S311 - curves, not secrets
    curves = [{name: curve(name, EPOCHS, noise) for name in METRICS} for _ in range(50)]
    with store.write() as conn:
        for number in range(1, count + 1):
            run = add_run(
                conn,
                store,
                _spec(number, noise),
                owner=noise.choice(("ann", "bob", "local")),
                note="the loader was broken" if number % 17 == 0 else "",
            )
            series.append(conn, run.id, noise.choice(curves))
            conn.execute(update(RUNS).where(RUNS.c.id == run.id).values(**_ended(number, noise)))
            tags = {"paper"} if number % 10 == 0 else set()
            for tag in tags | {f"week {number // 250}"}:
                conn.execute(insert(RUN_TAGS).values(run_id=run.id, tag=tag))
            conn.execute(insert(EVALUATIONS).values(**_evaluation(run.id, noise)))
    store.dispose()


def _spec(number: int, noise: random.Random) -> ExperimentSpec:
    spec = _unnamed(
        noise.choice(DATASETS),
        noise.choice(ARCHITECTURES),
        noise.choice((0.001, 0.003, 0.01, 0.03, 0.1)),
        noise.choice(("none", "cosine")),
        number % 4 > 0,
    )
    return spec.model_copy(update={"name": f"run {number}"})


@cache
def _unnamed(
    dataset: str, architecture: str, rate: float, schedule: str, deterministic: bool
) -> ExperimentSpec:
    return parse_spec(
        {
            "dataset": {"name": dataset},
            "model": {"architecture": architecture, "weights": "none"},
            "optimizer": {"lr": rate},
            "scheduler": {"name": schedule},
            "training": {"epochs": EPOCHS, "deterministic": deterministic},
        }
    )


def _ended(number: int, noise: random.Random) -> dict[str, object]:
    created = time.time() - (RUNS_SEEDED - number) * 1800
    elapsed = 40 + 60 * noise.random()
    return {
        "status": "failed" if number % 12 == 0 else "succeeded",
        "created_at": created,
        "started_at": created + 5,
        "finished_at": created + elapsed,
        "epoch": EPOCHS,
        "started": {
            "device": "cpu",
            "versions": {"torch": "2.9.1", "torchvision": "0.24.1"},
            "parameters_total": 11_000_000,
            "parameters_trained": 5_000,
            "classes": [f"class {place}" for place in range(10)],
            "resolved": {"precision": "fp32", "threads": 2, "device": "cpu"},
        },
        "finished": {"best_epoch": 10, "elapsed_s": elapsed, "standalone_s": elapsed},
    }


def _evaluation(run_id: int, noise: random.Random) -> dict[str, object]:
    return {
        "run_id": run_id,
        "split": "val",
        "epoch": 10,
        "accuracy": noise.random(),
        "loss": noise.random(),
        "samples": 400,
        "samples_fingerprint": "f" * 64,
        "confusion": [[noise.randrange(40) for _ in range(10)] for _ in range(10)],
        "classes": [
            {"name": str(place), "precision": 0.9, "recall": 0.9, "f1": 0.9, "support": 40}
            for place in range(10)
        ],
        "predictions_file": "attempt-001/predictions/val.npz",
        "macro_f1": noise.random(),
    }
