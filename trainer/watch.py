"""The trainer's ears: its supervisor's end of a socket, SIGTERM, and its own use of resources."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from types import FrameType

import psutil
import torch

from trainer.eventlog import EventLog
from trainer.events import Resources

RESOURCES_EVERY_S = 2.0


class Interrupted(BaseException):
    """SIGTERM came; the run is to stop without an end of its own."""


class StopRequest:
    """Turns SIGTERM into a polite request.

    While nothing is worth saving the signal interrupts at once; after `be_patient` it is only
    remembered, for the loop to see between two steps.
    """

    def __init__(self) -> None:
        self.requested = False
        self._patient = False

    def install(self) -> None:
        """Handle SIGTERM from here on; only the main thread may call this."""
        signal.signal(signal.SIGTERM, self._on_signal)

    def be_patient(self) -> None:
        """Remember the signal from here on instead of interrupting."""
        self._patient = True

    def check(self) -> None:
        """Raise `Interrupted` if the signal came."""
        if self.requested:
            raise Interrupted

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        if not self._patient:
            raise Interrupted


def greet_supervisor(fd: int, events_offset: int, step: int, epochs: int) -> None:
    """Tell the supervisor where the run goes on from, then die when the supervisor does.

    Args:
        fd: A connected socket whose other end only the supervisor holds.
        events_offset: Bytes of `events.jsonl` that stay.
        step: The step that these bytes lead up to.
        epochs: How many epochs these bytes tell of to their end; a validation may be due at `step`.
    """
    start = {"events_offset": events_offset, "step": step, "epochs": epochs}
    line = json.dumps(start).encode() + b"\n"
    try:
        os.write(fd, line)
    except OSError:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    threading.Thread(target=_die_at_end, args=(fd,), name="supervisor-watch", daemon=True).start()


def _die_at_end(fd: int) -> None:
    """Kill the whole process group when the other end of `fd` closes."""
    try:
        while os.read(fd, 1024):
            pass
    except OSError:
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


class ResourceMeter:
    """Says every two seconds, from a thread, what the process uses."""

    def __init__(self, log: EventLog, *, gpu: bool) -> None:
        self._log = log
        self._gpu = gpu
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)

    def start(self) -> None:
        """Begin measuring."""
        self._process.cpu_percent()  # the first call only sets the reference
        self._thread.start()

    def stop(self) -> None:
        """Say nothing more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(RESOURCES_EVERY_S):
            self._log.say(
                Resources(
                    time=time.time(),
                    memory_bytes=self._process.memory_info().rss,
                    cpu_percent=self._process.cpu_percent(),
                    gpu_memory_bytes=torch.cuda.memory_reserved() if self._gpu else None,
                )
            )
