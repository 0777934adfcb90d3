"""The programs of `tuneboard up`: started, restarted where they die, stopped in order.

Each runs under a `tuneboard.guard` in a session of its own, so that a Ctrl-C reaches `up` alone,
and writes to a log file of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from trainer.errors import TuneboardError
from tuneboard.guard import PARENT_FD

BACKOFF_FIRST_S = 0.5
BACKOFF_LONGEST_S = 10.0
STEADY_S = 30.0  # a program that lived this long starts its backoff anew
READY_WITHIN_S = 10.0
OLD_LOGS = 3
_LOOK_S = 0.1


@dataclass(frozen=True)
class Program:
    """What to run, and how it is stopped."""

    name: str
    """Names its log file and says who it is on the console."""
    command: tuple[str, ...]
    stage: int
    """Programs of a lower stage are stopped first."""
    stop_s: float
    """Seconds from SIGTERM to SIGKILL."""
    environment: Mapping[str, str] = field(default_factory=dict)
    fds: tuple[int, ...] = ()
    """Descriptors of ours that it inherits."""
    linger_s: float = 0.0
    """Seconds it lives on when `up` was killed, for the sake of the others."""
    ready: Callable[[], bool] | None = None
    """Whether those after it may start."""


class _Child:
    """One program's process, its log and its restarts."""

    def __init__(self, program: Program, logs_dir: Path) -> None:
        self.program = program
        self.log = logs_dir / f"{program.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths = 0
        self.restart_at = 0.0
        self._started_at = 0.0
        self._backoff_s = BACKOFF_FIRST_S

    def spawn(self, parent_fd: int, inherited_fd: int) -> None:
        environment = {**os.environ, **self.program.environment, PARENT_FD: str(parent_fd)}
        guard = [sys.executable, "-m", "tuneboard.guard", "--linger", str(self.program.linger_s)]
        for fd in self.program.fds:
            guard += ["--fd", str(fd)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*guard, "--", *self.program.command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(parent_fd, inherited_fd, *self.program.fds),
                start_new_session=True,
            )
        self._started_at = time.monotonic()

    def reap(self) -> int | None:
        """Return the status it died with just now, with its restart planned; None otherwise."""
        if self.process is None or self.process.poll() is None:
            return None
        status = self.process.returncode
        self.signal_group(signal.SIGKILL)  # what it may have left
        self.process = None
        self.deaths += 1
        if time.monotonic() - self._started_at > STEADY_S:
            self._backoff_s = BACKOFF_FIRST_S
        self.restart_at = time.monotonic() + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, BACKOFF_LONGEST_S)
        return status

    def signal_group(self, number: signal.Signals) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return

    def stop(self, deadline: float) -> None:
        """Wait for the end until `deadline` (monotonic), then kill the group."""
        if self.process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
        self.signal_group(signal.SIGKILL)
        self.process.wait()
        self.process = None


class Supervisor:
    """Keeps the programs running from `start` to `stop`."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        logs_dir: Path,
        inherited_fd: int,
        say: Callable[[str], None],
    ) -> None:
        """Prepare to run `programs`, in their order.

        Args:
            programs: What to run.
            logs_dir: Gets a log a program; logs of earlier times are kept as NAME.log.1 and so on.
            inherited_fd: Kept open by every guard: a lock on it lasts until the last has ended.
            say: Told of deaths and restarts.
        """
        self._children = [_Child(program, logs_dir) for program in programs]
        self._inherited_fd = inherited_fd
        self._say = say
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self._watched_fd, self._held_fd = os.pipe()

    def start(self) -> None:
        """Start every program, each after those before it are ready.

        Raises:
            TuneboardError: If one does not become ready.
        """
        for child in self._children:
            _rotate(child.log)
            child.spawn(self._watched_fd, self._inherited_fd)
            self._wait_until_ready(child)
        self._keeper.start()

    def deaths(self, name: str) -> int:
        """Return how often the program of that name has died so far."""
        return next(child.deaths for child in self._children if child.program.name == name)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """Return the last lines that the program of that name wrote."""
        log = next(child.log for child in self._children if child.program.name == name)
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Stop every program, stage by stage, killing those that take too long."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        in_order = sorted(self._children, key=lambda child: child.program.stage)
        for _, stage in groupby(in_order, key=lambda child: child.program.stage):
            children = list(stage)
            begun = time.monotonic()
            for child in children:
                if child.process is not None:
                    child.process.terminate()  # the guard passes it on
            for child in children:
                child.stop(begun + child.program.stop_s)
        os.close(self._held_fd)
        os.close(self._watched_fd)

    def _wait_until_ready(self, child: _Child) -> None:
        ready = child.program.ready
        deadline = time.monotonic() + READY_WITHIN_S
        while ready is not None and not ready():
            ended = child.process is None or child.process.poll() is not None
            if ended or time.monotonic() > deadline:
                name = child.program.name
                raise TuneboardError(
                    f"The {name} did not start; the end of its log:\n{self.log_tail(name)}"
                )
            time.sleep(0.02)

    def _keep(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            for child in self._children:
                status = child.reap()
                if status is not None:
                    wait_s = child.restart_at - time.monotonic()
                    self._say(
                        f"{child.program.name} ended with status {status}; "
                        f"starting it again in {wait_s:.1f} s (its log: {child.log})"
                    )
                elif child.process is None and time.monotonic() >= child.restart_at:
                    child.spawn(self._watched_fd, self._inherited_fd)


def _rotate(log: Path) -> None:
    """Put the log of the time before aside."""
    if not log.exists():
        return
    for age in range(OLD_LOGS, 0, -1):
        older = log.with_name(f"{log.name}.{age}")
        newer = log.with_name(f"{log.name}.{age - 1}") if age > 1 else log
        if newer.exists():
            newer.replace(older)
