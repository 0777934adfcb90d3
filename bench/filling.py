"""A data directory with finished runs whose curves look like a training's."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import update

from store import series
from store.database import Store, open_store
from store.rows import SeriesPoints
from store.runs import create_run
from store.series import Point, columns_of
from store.settings import Settings
from store.tables import RUNS
from trainer.parsing import parse_spec

METRICS = ("train_accuracy", "train_loss", "val_accuracy", "val_loss")
SEEDS = 5  # of one setting
STEPS_PER_EPOCH = 45


def filled(folder: Path, runs: int, points: int) -> list[int]:
    """Return the numbers of new runs, each with `points` epochs of the four metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(Settings(data_dir=folder))
    store.migrate()
    run_ids = [_run(store, number, points) for number in range(runs)]
    noise = random.Random(0)  # noqa: S311 - curves, not secrets
    with store.write() as conn:
        for run_id in run_ids:
            series.append(conn, run_id, {name: curve(name, points, noise) for name in METRICS})
        conn.execute(
            update(RUNS)
            .where(RUNS.c.id.in_(run_ids))
            .values(
                status="succeeded",
                epoch=points,
                started={"parameters_total": 11_000_000, "parameters_trained": 5_000},
                finished={
                    "best_epoch": points // 2,
                    "elapsed_s": points * 3.1,
                    "standalone_s": points * 3.1,
                    "seconds": {"data": points * 0.5, "compute": points * 2.0},
                },
            )
        )
    store.dispose()
    return run_ids


def curve(name: str, points: int, noise: random.Random) -> SeriesPoints:
    """Return a noisy curve of one metric."""
    top = 0.8 + 0.15 * noise.random()
    values = (
        top * (1 - math.exp(-6 * number / points)) + noise.gauss(0, 0.01)
        if name.endswith("accuracy")
        else 2.3 * math.exp(-5 * number / points) + abs(noise.gauss(0.03, 0.02))
        for number in range(1, points + 1)
    )
    return columns_of(
        Point(number * STEPS_PER_EPOCH, number, number * 3.1 + noise.random(), value)
        for number, value in enumerate(values, start=1)
    )


def query_of(run_ids: Sequence[int]) -> str:
    """Return the part of an address that names the runs."""
    return "&".join(f"run={run_id}" for run_id in run_ids)


def _run(store: Store, number: int, points: int) -> int:
    spec = parse_spec(
        {
            "name": f"run {number}",
            "dataset": {"name": "digits"},
            "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
            "optimizer": {"lr": 0.001 * (1 + number // SEEDS)},
            "training": {"epochs": min(points, 1000), "seed": number % SEEDS},
        }
    )
    return create_run(store, spec, owner="bench")[0].id
