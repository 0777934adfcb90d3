"""How fast values come in: batched and four at a time, in the store and through the API."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from bench.processes import free_port, started, wait_ready
from bench.web import SERVER
from store import series
from store.database import Store, open_store
from store.external import report_external
from store.runs import create_run
from store.series import Point
from trainer import events as said
from trainer.parsing import parse_spec

BATCH = 1_000  # points of each series
ROUNDS = 20
WRITES = 200
SPEC = {"dataset": {"name": "digits"}}
NAMES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as place:
        store = open_store(f"sqlite:///{Path(place) / 'bench.db'}")
        store.migrate()
        run_id = _external(store)
        points = _values_per_s(lambda batch: _append(store, run_id, batch), len(NAMES) * BATCH)
        run_id = _external(store)
        steps = _values_per_s(
            lambda batch: report_external(store, run_id, [_steps(batch)]), 2 * BATCH
        )
        run_id = _external(store)
        write = _write_ms(lambda epoch: report_external(store, run_id, [_epoch(epoch)]))
        store.dispose()
    yield f"store: {points:,.0f} values/s as columns, {steps:,.0f} as events (at least 200,000)"
    yield f"store: {write} a write of one epoch's five values (at most 3)"
    yield from _through_the_api()


def _through_the_api() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place:
        port = free_port()
        with started([*SERVER, "--port", str(port)], Path(place), port):
            wait_ready(port)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=60) as client:
                steps = _values_per_s(_sender(client, _steps), 2 * BATCH)
                write = _write_ms(_sender(client, _epoch))
    yield f"POST /runs/ID/events: {steps:,.0f} values/s in batches, {write} a write of one epoch"


def _sender(client: httpx.Client, event: Callable[[int], said.Event]) -> Callable[[int], object]:
    created = client.post("/runs?external=true", json=SPEC)
    address = f"/runs/{created.raise_for_status().json()['id']}/events"
    headers = {"Content-Type": "application/x-ndjson"}
    bodies: dict[int, bytes] = {}

    def send(number: int) -> None:
        body = bodies.pop(number, None) or said.event_line(event(number))
        client.post(address, content=body, headers=headers).raise_for_status()

    bodies.update((number, said.event_line(event(number))) for number in range(max(ROUNDS, WRITES)))
    return send


def _external(store: Store) -> int:
    return create_run(store, parse_spec(SPEC), owner="bench", external=True)[0].id


def _append(store: Store, run_id: int, batch: int) -> None:
    first = batch * BATCH
    points = [
        Point(step, step / 45, step / 9, 1 / step) for step in range(first + 1, first + BATCH + 1)
    ]
    with store.write() as conn:
        series.append(conn, run_id, dict.fromkeys(NAMES, series.columns_of(points)))


def _steps(batch: int) -> said.StepsRecorded:
    steps = list(range(batch * BATCH + 1, (batch + 1) * BATCH + 1))
    return said.StepsRecorded(
        time=1.0,
        epoch=1,
        steps=steps,
        elapsed_s=[step / 9 for step in steps],
        loss=[1 / step for step in steps],
        learning_rate=[0.1] * BATCH,
    )


def _epoch(number: int) -> said.EpochFinished:
    epoch = number + 1
    return said.EpochFinished(
        time=1.0,
        epoch=epoch,
        step=epoch * 45,
        elapsed_s=epoch * 3.1,
        train_loss=1 / epoch,
        train_accuracy=0.5,
        val_loss=2 / epoch,
        val_accuracy=0.4,
        learning_rate=0.1,
        is_best=False,
        seconds=said.PhaseSeconds(),
    )


def _values_per_s(write: Callable[[int], object], values: int) -> float:
    return values / statistics.median(_taken_s(write, ROUNDS))


def _write_ms(write: Callable[[int], object]) -> str:
    taken = sorted(seconds * 1000 for seconds in _taken_s(write, WRITES))
    return f"{statistics.median(taken):.2f} ms (95 %: {taken[int(0.95 * WRITES)]:.2f})"


def _taken_s(write: Callable[[int], object], rounds: int) -> list[float]:
    taken = []
    for number in range(rounds):
        start = time.perf_counter()
        write(number)
        taken.append(time.perf_counter() - start)
    return taken
