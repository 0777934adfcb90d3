"""What the web process weighs, and how soon it answers, while it receives an upload of 2 GB.

The archive is sent by `tuneboard datasets upload` in a process of its own, which is killed at half
and started again; the server compares the SHA-256 of all that has arrived with that of the file.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from bench.filling import filled
from bench.processes import ROOT, free_port, started, wait_ready
from bench.web import SERVER

ARCHIVE_BYTES = 2 * 1000**3
BLOCK_BYTES = 16 * 1024**2
ENTRIES = 20
RUNS = 100
LOOK_S = 0.05
WEIGHT_MB = 150
ANSWER_MS = 250


class Watch:
    """Looks at the server's memory and asks for a page, over and over, until it is told to stop."""

    def __init__(self, pid: int, address: str) -> None:
        self.weights_mb: list[float] = []
        self.answers_ms: list[float] = []
        self._process = psutil.Process(pid)
        self._address = address
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.wait(LOOK_S):
                begun = time.perf_counter()
                client.get(self._address).raise_for_status()
                self.answers_ms.append(1000 * (time.perf_counter() - begun))
                self.weights_mb.append(self._process.memory_info().rss / 1e6)


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        archive = folder / "large.zip"
        _write_archive(archive)
        data = folder / "data"
        data.mkdir()
        filled(data, RUNS, 10)
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        with started([*SERVER, "--port", str(port)], data, port) as server:
            wait_ready(port)
            for _ in range(5):
                httpx.get(f"{address}/runs", timeout=30).raise_for_status()
            with Watch(server.pid, f"{address}/runs") as quiet:
                time.sleep(5)
            with Watch(server.pid, f"{address}/runs") as watch:
                begun = time.perf_counter()
                offset = _sent_and_killed(address, archive)
                again = _sender(address, archive)
                code = again.wait(1800)
                seconds = time.perf_counter() - begun
            dataset = httpx.get(f"{address}/api/v1/datasets/large", timeout=30).json()
        arrived = data / "datasets" / "uploads" / str(dataset.get("source"))
        whole = code == 0 and arrived.stat().st_size == archive.stat().st_size
        yield (
            f"{archive.stat().st_size / 1e9:.2f} GB sent, its sender killed at "
            f"{offset / 1e9:.2f} GB and started again: {'whole' if whole else 'NOT WHOLE'}, its "
            f"SHA-256 compared, in {seconds:.0f} s with both hashes of it"
        )
        yield (
            f"web process: at most {max(watch.weights_mb):.0f} MB while receiving "
            f"(target {WEIGHT_MB}), {max(quiet.weights_mb):.0f} MB before"
        )
        yield (
            f"GET /runs ({RUNS} runs), {len(watch.answers_ms)} times: {_percentiles(watch)} ms "
            f"(95 % under {ANSWER_MS}); before: {_percentiles(quiet)} ms; load of the machine "
            f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )


def _write_archive(path: Path) -> None:
    """Write a zip of random bytes under images' names."""
    block = os.urandom(BLOCK_BYTES)
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for number in range(ENTRIES):
            name = f"{'ants' if number % 2 else 'bees'}/{number}.png"
            with archive.open(name, "w", force_zip64=True) as entry:
                left = ARCHIVE_BYTES // ENTRIES
                while left > 0:
                    left -= entry.write(block[: min(left, BLOCK_BYTES)])


def _sent_and_killed(address: str, archive: Path) -> int:
    """Send about half of the archive, kill the sender, and return how much had arrived."""
    sender = _sender(address, archive)
    try:
        while sender.poll() is None:
            uploads = httpx.get(f"{address}/api/v1/uploads", timeout=30).json()["uploads"]
            if uploads and uploads[0]["offset"] * 2 >= uploads[0]["size_bytes"]:
                offset: int = uploads[0]["offset"]
                return offset
            time.sleep(0.2)
    finally:
        sender.kill()
        sender.wait()
    raise RuntimeError("the sender ended before half of the archive had arrived")


def _sender(address: str, archive: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tuneboard", "datasets", "upload", "large", str(archive)]
    return subprocess.Popen(
        [*command, "--url", address],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _percentiles(watch: Watch) -> str:
    cuts = statistics.quantiles(watch.answers_ms, n=20)
    return f"{cuts[9]:.0f} (median), {cuts[18]:.0f} (95 %), {max(watch.answers_ms):.0f} (most)"
