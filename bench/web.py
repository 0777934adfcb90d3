"""How soon the web process is ready, and what it weighs when idle and after work."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from bench.processes import ROOT, free_port, started, wait_ready

ROUNDS = 5
IDLE_S = 3.0
SERVER = ["-m", "uvicorn", "--factory", "app.main:create_app", "--no-access-log"]
PAGES = ("/runs", "/launch", "/datasets", "/workers", "/api/v1/runs")


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    ready, idle, used, submitted = [], [], [], []
    for number in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            command = [*SERVER, "--port", str(port)]
            with started(command, Path(folder), port) as process:
                seconds = wait_ready(port)
                time.sleep(IDLE_S)
                own = psutil.Process(process.pid)
                before = own.memory_info().rss
                for page in PAGES:
                    httpx.get(f"http://127.0.0.1:{port}{page}", timeout=30).raise_for_status()
                looked = own.memory_info().rss
                run = {"dataset": {"name": "digits"}}
                httpx.post(f"http://127.0.0.1:{port}/api/v1/runs", json=run).raise_for_status()
                time.sleep(IDLE_S)
                if number:  # the first round only fills the file cache
                    ready.append(seconds)
                    idle.append(before / 1e6)
                    used.append(looked / 1e6)
                    submitted.append(own.memory_info().rss / 1e6)
    code = "import app.main, sys; sys.exit('torch' in sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    yield f"import app.main leaves torch out: {'NO' if imported.returncode else 'yes'}"
    yield f"ready after {_spread(ready)} s (at most 2)"
    yield f"idle {_spread(idle)} MB (at most 100); after one look at every page {_spread(used)} MB"
    yield f"after a first submission, with Celery loaded, {_spread(submitted)} MB"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
