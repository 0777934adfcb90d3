"""The comparison's query of 100 runs × 4 metrics × 1,000 points: milliseconds, bytes, memory.

Beside it, in the same run, what a row and an object a point would take.
"""

from __future__ import annotations

import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil

from bench.filling import METRICS, filled, query_of
from bench.processes import free_port, started, wait_ready
from bench.web import SERVER
from store import series
from store.database import Store, open_store
from store.settings import Settings

RUNS, POINTS = 100, 1_000
ROUNDS = 21
GZIP_LEVEL = 5  # as the application compresses what does not compress itself


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run_ids = filled(folder, RUNS, POINTS)
        port = free_port()
        with started([*SERVER, "--port", str(port)], folder, port) as process:
            wait_ready(port)
            own = psutil.Process(process.pid)
            before = own.memory_info().rss / 1e6
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                for axis in ("epoch", "seconds"):
                    yield _query(client, query_of(run_ids), axis)
                taken = [_taken(lambda: _page(client, query_of(run_ids))) for _ in range(5)]
            after = own.memory_info().rss / 1e6
        yield (
            f"the page of {RUNS} runs itself in {statistics.median(taken):.0f} ms; "
            f"web process {before:.0f} MB before, {after:.0f} MB after (at most 150)"
        )
        yield _as_objects(open_store(Settings(data_dir=folder)), run_ids)


def _query(client: httpx.Client, runs: str, axis: str) -> str:
    metrics = "&".join(f"metric={name}" for name in METRICS)
    address = f"/api/v1/compare/curves?{runs}&{metrics}&x={axis}"
    client.get(address).raise_for_status()  # numpy is loaded by the first one
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        answer = client.get(address)
        taken.append((time.perf_counter() - start) * 1000)
    told = answer.json()
    return (
        f"{RUNS} × {len(METRICS)} × {POINTS:,} against {axis}: "
        f"{statistics.median(taken):.0f} ms ({min(taken):.0f} to {max(taken):.0f}; at most 100), "
        f"{answer.num_bytes_downloaded / 1e6:.2f} MB on the wire (at most 0.5), "
        f"{told['points_per_curve']} points a curve"
    )


def _page(client: httpx.Client, runs: str) -> None:
    client.get(f"/compare?{runs}").raise_for_status()


def _as_objects(store: Store, run_ids: list[int]) -> str:
    """Say what one row and one JSON object a point take, for the same points."""
    with store.write() as conn:
        conn.exec_driver_sql(
            "CREATE TABLE bench_rows (run INT, name TEXT, step INT, epoch REAL, value REAL, "
            "PRIMARY KEY (run, name, step)) WITHOUT ROWID"
        )
        for (run_id, name), points in series.series(store, run_ids, METRICS).items():
            conn.exec_driver_sql(
                "INSERT INTO bench_rows VALUES (?, ?, ?, ?, ?)",
                [
                    (run_id, name, *values)
                    for values in zip(points.steps, points.epochs, points.values, strict=True)
                ],
            )
    body = b""

    def ask() -> None:
        nonlocal body
        with store.read() as conn:
            rows = conn.exec_driver_sql("SELECT run, name, step, epoch, value FROM bench_rows")
            found = [dict(row._mapping) for row in rows]
        body = gzip.compress(json.dumps(found).encode(), GZIP_LEVEL)

    taken = statistics.median(_taken(ask) for _ in range(3))
    store.dispose()
    return (
        f"the same as rows and objects, without HTTP: {taken:.0f} ms, "
        f"{len(body) / 1e6:.2f} MB compressed"
    )


def _taken(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000
