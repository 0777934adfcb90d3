"""From `POST /runs` on an idle, warm worker to the run's first `progress` event."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.processes import free_port, started, wait_ready
from tuneboard import Client

ROUNDS = 5
SPEC = {
    "dataset": {"name": "digits", "input_size_px": 32},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 1, "batch_size": 64},
}
POLL_S = 0.01


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        with started(["-m", "tuneboard", "up"], Path(folder), port):
            wait_ready(port)
            client = Client(f"http://127.0.0.1:{port}")
            client.wait(client.submit(SPEC)["id"])  # prepares the digits and warms everything
            seconds = [_one(client) for _ in range(ROUNDS)]
    yield (
        f"first progress {statistics.median(seconds):.2f} s after POST "
        f"({min(seconds):.2f} to {max(seconds):.2f}; at most 2)"
    )


def _one(client: Client) -> float:
    start = time.perf_counter()
    run_id = client.submit(SPEC)["id"]
    while not client.run(run_id)["progress"]:
        time.sleep(POLL_S)
    seconds = time.perf_counter() - start
    client.wait(run_id)
    return seconds
