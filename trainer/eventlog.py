"""Appends events to `events.jsonl`, and knows how many of its bytes are safely on disk."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from trainer.events import Event, Logged, event_line

EVENTS_FILE = "events.jsonl"


class EventLog:
    """The run's event file, open for appending; any thread may say something."""

    def __init__(self, folder: Path, keep_bytes: int) -> None:
        """Open the file in `folder`, cut down to its first `keep_bytes` bytes."""
        self.path = folder / EVENTS_FILE
        self._lock = threading.Lock()
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._fd, keep_bytes)
        os.lseek(self._fd, 0, os.SEEK_END)

    def say(self, event: Event) -> None:
        """Append one event; it is in the file, though not yet on disk, when this returns."""
        line = memoryview(event_line(event))
        with self._lock:
            while line:
                line = line[os.write(self._fd, line) :]

    def note(self, message: str) -> None:
        """Append a line for people."""
        self.say(Logged(time=time.time(), message=message))

    def sync(self) -> int:
        """Bring everything said so far to disk and return the file's length in bytes."""
        with self._lock:
            os.fsync(self._fd)
            return os.fstat(self._fd).st_size

    def close(self) -> None:
        """Bring everything to disk and close the file."""
        with self._lock:
            os.fsync(self._fd)
            os.close(self._fd)
