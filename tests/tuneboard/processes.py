"""Finding and awaiting the processes that a test started."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def until(
    condition: Callable[[], object],
    within_s: float,
    what: str,
    *,
    told_by: Callable[[], str] = str,
) -> None:
    """Return once the condition holds.

    Fails the test with `what`, and what `told_by` then says, if it does not in time.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s\n{told_by()}"
        time.sleep(0.05)


def logs_of(data_dir: Path, *more: Path, lines: int = 40) -> str:
    """Return the end of every log in the data directory, and of the files of `more`."""
    logs = [*more, *sorted((data_dir / "logs").glob("*.log"))]
    ends = (log.read_text(errors="replace").splitlines()[-lines:] for log in logs)
    return "\n\n".join(f"== {log}\n" + "\n".join(end) for log, end in zip(logs, ends, strict=True))


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Return every process of the Tuneboard with that data directory.

    Told by its environment, or by its command line: Valkey writes its title over its environment.
    """
    found = []
    for process in psutil.process_iter():
        try:
            own = process.environ().get("TUNEBOARD_DATA_DIR") == str(data_dir)
            if own or any(f"{data_dir}/" in part for part in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def end_all(data_dir: Path) -> None:
    """Kill what a failed test has left."""
    for process in processes_of(data_dir):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])
