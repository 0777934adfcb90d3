"""One of our programs at work for this worker: what it says, how its group is ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from store.database import Unavailable
from worker.recorder import PAUSES_S

log = logging.getLogger(__name__)

LOOK_S = 0.25
"""How often progress is stored, and how soon a drain is noticed."""
STOP_GRACE_S = 2.0
OUTAGE_LIMIT_S = 600.0
"""How long a result waits for the database before it is given up; it can be made again."""


class Listener(threading.Thread):
    """Reads the program's lines, so that it never waits for this worker."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(name="program-listener", daemon=True)
        self._process = process
        self.progress: dict[str, Any] = {}
        self.result: dict[str, Any] = {}
        self.start()

    def run(self) -> None:
        """Read until the program's end."""
        assert self._process.stdout is not None  # noqa: S101 - asked for with PIPE
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                log.warning("The program said: %r", line)
                continue
            if "ready" in said or "failed" in said:
                self.result = said
            else:
                self.progress = said


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the program and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def insist(write: Callable[[], Any], draining: threading.Event) -> Any:
    """Return what `write` returns, trying again while the database is away.

    Raises:
        Unavailable: If it stays away for long, or this worker is to end.
    """
    began, tries = time.monotonic(), 0
    while True:
        try:
            return write()
        except Unavailable:
            if draining.is_set() or time.monotonic() - began > OUTAGE_LIMIT_S:
                raise
        time.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
        tries += 1
