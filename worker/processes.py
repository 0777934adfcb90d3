"""One trainer process, however it was started: watch it, ask it to stop, end its whole group.

The trainer leads a session of its own and holds one end of a socket pair. When the supervisor's
end closes, for whatever reason, the trainer kills its own group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

REAP_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Job:
    """What a trainer is started with."""

    spec: Path
    manifest: Path
    out: Path
    resume_from: Path | None = None

    @property
    def log(self) -> Path:
        """Where the process's standard output and error go."""
        return self.out / "trainer.log"


class TrainerProcess:
    """A trainer that was started; its exit code comes from `poll`."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self.control = control
        control.setblocking(False)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        raise NotImplementedError

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the trainer alone: its helpers must live until it has saved its state."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill_group(self) -> None:
        """Kill what is left of the trainer and of everything it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the group and let go of the control socket."""
        self.kill_group()
        self.control.close()


Launch = Callable[[Job], TrainerProcess]


class CommandTrainer(TrainerProcess):
    """A trainer started as a fresh process."""

    def __init__(self, command: Sequence[str], job: Job) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs, job.log.open("ab") as log:
                self._process = subprocess.Popen(  # a command of our own making
                    [*command, "--control-fd", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[theirs.fileno()],
                )
        except BaseException:
            ours.close()
            raise
        super().__init__(self._process.pid, ours)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """Kill the group, let go of the control socket, and leave no zombie."""
        super().close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
            self._process.wait(REAP_TIMEOUT_S)


def launch_cold(job: Job) -> TrainerProcess:
    """Start ``python -m trainer``, which imports its libraries first: seconds."""
    command = [sys.executable, "-m", "trainer", "--spec", str(job.spec)]
    command += ["--data", str(job.manifest), "--out", str(job.out)]
    if job.resume_from is not None:
        command += ["--resume-from", str(job.resume_from)]
    return CommandTrainer(command, job)


def how_it_ended(code: int) -> str:
    """Return an exit code in words."""
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code == signal.SIGKILL:
        return f"{name} (killed from outside, most often because memory ran out)"
    if -code in {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL}:
        return f"{name} (a crash inside a native library)"
    return name
