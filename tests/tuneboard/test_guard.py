"""The guard ends as its command ended, and ends the command when its parent is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.tuneboard.processes import until

READY_THEN_SLEEP = "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
NOTES_TERM = (
    "signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1] + '.term', 'w').close(), "
    f"sys.exit(5))); {READY_THEN_SLEEP}"
)
DEAF = f"signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY_THEN_SLEEP}"
DEAF_PROGRAM = f"import os, signal, sys, time; {DEAF}"
DEAF_CHILD = (
    f"subprocess.Popen([sys.executable, '-c', {DEAF_PROGRAM!r}, sys.argv[1]]); time.sleep(60)"
)


@contextmanager
def guarded(
    code: str, ready: Path, *options: str, grace_s: float = 7.0
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run Python code under a guard; yields the guard and the pipe's end that keeps it alive."""
    watched, held = os.pipe()
    command = [sys.executable, "-c", f"import os, signal, subprocess, sys, time; {code}"]
    main = (
        f"import sys, tuneboard.guard as g; g.GRACE_S = {grace_s}; sys.exit(g.main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", main, *options, "--", *command, str(ready)],
        env={**os.environ, "TUNEBOARD_PARENT_FD": str(watched)},
        pass_fds=[watched],
        start_new_session=True,
    )
    os.close(watched)
    try:
        yield process, held
    finally:
        with suppress(OSError):
            os.close(held)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def gone(pid: int) -> bool:
    """Whether a process has ended, though nobody may have asked for its status yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(("code", "status"), [("sys.exit(7)", 7), ("sys.exit(0)", 0)])
def test_it_ends_with_the_status_of_its_command(tmp_path: Path, code: str, status: int) -> None:
    with guarded(code, tmp_path / "ready") as (guard, _):
        assert guard.wait(10) == status


def test_it_ends_with_128_and_the_number_of_the_signal_that_killed_its_command(
    tmp_path: Path,
) -> None:
    with guarded("os.kill(os.getpid(), signal.SIGKILL)", tmp_path / "ready") as (guard, _):
        assert guard.wait(10) == 128 + signal.SIGKILL


def test_it_passes_sigterm_on(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with guarded(NOTES_TERM, ready) as (guard, _):
        until(ready.exists, 10, "the command started")
        guard.terminate()
        assert guard.wait(10) == 5
    assert ready.with_name("ready.term").exists()


def test_it_terminates_its_command_when_the_parent_is_gone(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with guarded(NOTES_TERM, ready) as (guard, held):
        until(ready.exists, 10, "the command started")
        os.close(held)
        guard.wait(5)
    assert ready.with_name("ready.term").exists()


@pytest.mark.parametrize("code", [DEAF, DEAF_CHILD], ids=["the command", "a child of it"])
def test_it_kills_what_ignores_sigterm_when_the_parent_is_gone(tmp_path: Path, code: str) -> None:
    ready = tmp_path / "ready"
    with guarded(code, ready, grace_s=0.3) as (guard, held):
        until(lambda: ready.exists() and ready.read_text(), 10, "the command started")
        os.close(held)
        guard.wait(5)
        until(lambda: gone(int(ready.read_text())), 2, "the deaf process ended")


def test_it_lets_its_command_linger_for_the_sake_of_others(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with guarded(NOTES_TERM, ready, "--linger", "0.5") as (guard, held):
        until(ready.exists, 10, "the command started")
        begun = time.monotonic()
        os.close(held)
        guard.wait(5)
        assert time.monotonic() - begun >= 0.5


def test_its_command_can_watch_it_in_turn(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    watches = (
        "open(sys.argv[1], 'w').write(str(os.getpid())); "
        "os.read(int(os.environ['TUNEBOARD_PARENT_FD']), 1)"
    )
    with guarded(watches, ready) as (guard, _):
        until(lambda: ready.exists() and ready.read_text(), 10, "the command started")
        os.kill(guard.pid, signal.SIGKILL)
        until(lambda: gone(int(ready.read_text())), 5, "the command saw its guard's end")


@pytest.mark.parametrize("arguments", [[], ["--"], ["--linger", "1"], ["true"]])
def test_it_refuses_to_run_nothing(arguments: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tuneboard.guard", *arguments], capture_output=True, check=False
    )
    assert ran.returncode != 0
    assert b"Expected" in ran.stderr
