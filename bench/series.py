"""Reading the series of a large comparison from SQLite, beside a row for each point."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from store import series
from store.database import Store, open_store
from store.runs import create_run
from store.series import Point
from trainer.parsing import parse_spec

RUNS, POINTS = 200, 2000
NAMES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
ROUNDS = 5


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'bench.db'}")
        store.migrate()
        run_ids = _fill(store)
        packed = _median_s(lambda: series.series(store, run_ids, NAMES))
        rows = _median_s(lambda: _read_rows(store))
        store.dispose()
    count = RUNS * len(NAMES) * POINTS
    yield (
        f"{count:,} points of {RUNS} runs read in {packed * 1000:.0f} ms; "
        f"as rows {rows * 1000:.0f} ms, {rows / packed:.0f} times as long"
    )


def _fill(store: Store) -> list[int]:
    spec = parse_spec({"dataset": {"name": "digits"}})
    run_ids = [create_run(store, spec, owner="bench")[0].id for _ in range(RUNS)]
    points = [Point(step, step / 10, step / 2, step * 0.5) for step in range(1, POINTS + 1)]
    with store.write() as conn:
        for run_id in run_ids:
            series.append(conn, run_id, dict.fromkeys(NAMES, series.columns_of(points)))
        conn.exec_driver_sql(
            "CREATE TABLE bench_rows (run INT, name TEXT, step INT, epoch REAL, elapsed REAL, "
            "value REAL, PRIMARY KEY (run, name, step)) WITHOUT ROWID"
        )
        for run_id in run_ids:
            conn.exec_driver_sql(
                "INSERT INTO bench_rows VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (run_id, name, point.step, point.epoch, point.elapsed_s, point.value)
                    for name in NAMES
                    for point in points
                ],
            )
    return run_ids


def _read_rows(store: Store) -> None:
    with store.read() as conn:
        conn.exec_driver_sql("SELECT * FROM bench_rows").fetchall()


def _median_s(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
