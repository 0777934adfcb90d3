"""Read a growing `events.jsonl`: whole lines only, from a known offset, at a bounded pace."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from trainer.events import Evaluated, Event, parse_event

log = logging.getLogger(__name__)

READ_LIMIT_BYTES = 1 << 20
"""What one look reads; the rest waits in the file for the next."""

Said = tuple[Event, int]
"""An event, and the length of the file up to its end."""


class EventTail:
    """The events of one attempt, in order."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._partial = b""
        self.offset = offset
        """Bytes of the file up to the end of the last whole line that was read."""

    def read(self) -> list[Said]:
        """Return the events that have been completed since the last call; empty for none.

        A last line without its end is left for later. A line that is no event is skipped, and
        logged.
        """
        if self._file is None:
            if not self._path.exists():
                return []
            self._file = self._path.open("rb")
        self._file.seek(self.offset + len(self._partial))
        fresh = self._file.read(READ_LIMIT_BYTES)
        if not fresh:
            return []
        *lines, self._partial = (self._partial + fresh).split(b"\n")
        events: list[Said] = []
        for line in lines:
            self.offset += len(line) + 1
            try:
                events.append((self._placed(parse_event(line)), self.offset))
            except ValidationError as error:
                log.error("%s, before byte %d: no event: %s", self._path, self.offset, error)
        return events

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _placed(self, event: Event) -> Event:
        """Return the event with its path made relative to the run's folder.

        The trainer knows only the folder of its attempt.
        """
        if isinstance(event, Evaluated):
            folder = self._path.parent.name
            file = f"{folder}/{event.predictions_file}"
            return event.model_copy(update={"predictions_file": file})
        return event
