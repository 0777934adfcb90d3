"""The trainer's ears: its supervisor's end of a socket, SIGTERM, and its own use of resources."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from types import FrameType

import psutil
import torch

from trainer.eventlog import EventLog
from trainer.events import Resources

_LOG = logging.getLogger(__name__)

RESOURCES_EVERY_S = 2.0
RESOURCES_PER_SPAN = 300  # samples in the time gone so far, once it is longer than ten minutes


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
    """Says from a thread what the process uses: every two seconds, more rarely the longer it runs.

    A day of training gives about as many samples as its first ten minutes, five times over.
    """

    def __init__(self, log: EventLog, *, gpu: bool) -> None:
        self._log = log
        self._gpu = gpu
        self._tells_use = gpu
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
        began = time.monotonic()
        while not self._ended.wait(pause_s(time.monotonic() - began)):
            self._log.say(
                Resources(
                    time=time.time(),
                    memory_bytes=self._process.memory_info().rss,
                    cpu_percent=self._process.cpu_percent(),
                    gpu_memory_bytes=torch.cuda.memory_reserved() if self._gpu else None,
                    gpu_percent=self._gpu_percent(),
                )
            )

    def _gpu_percent(self) -> float | None:
        """Return the GPU's use as NVML tells it; None from the first time on that it does not."""
        if not self._tells_use:
            return None
        try:
            return float(torch.cuda.utilization())
        except Exception:  # no NVML, no right to ask, or a part of a GPU that has no such figure
            _LOG.info("The GPU's use cannot be measured", exc_info=True)
            self._tells_use = False
            return None


def pause_s(elapsed_s: float) -> float:
    """Return how long to wait for the next sample."""
    return max(RESOURCES_EVERY_S, elapsed_s / RESOURCES_PER_SPAN)
