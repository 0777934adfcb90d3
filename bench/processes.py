"""Starts Tuneboard's own processes for a measurement and ends them after it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(arguments: list[str], data_dir: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python ARGUMENTS` with its own data directory and port until the block ends."""
    environment = {**os.environ, "TUNEBOARD_DATA_DIR": str(data_dir), "TUNEBOARD_PORT": str(port)}
    with (data_dir / "bench.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def wait_ready(port: int, limit_s: float = 60) -> float:
    """Return the seconds until `/healthz` answers.

    Raises:
        TimeoutError: If it does not within the limit.
    """
    start = time.perf_counter()
    while time.perf_counter() - start < limit_s:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=1).is_success:
                return time.perf_counter() - start
        except httpx.TransportError:
            time.sleep(0.01)
    raise TimeoutError(f"nothing answered on port {port} within {limit_s} s")
