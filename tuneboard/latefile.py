"""A file that is opened when it is first read: thousands can be sent in one form."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO


class LateFile(io.RawIOBase):
    """Reads like the file at `path`, which is open only between the first read and its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._at = 0
        self._file: BinaryIO | None = None

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any place can be read."""
        return True

    def tell(self) -> int:
        """Return the place of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; nothing is opened for it."""
        self._let_go()
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence] + offset
        return self._at

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # as the base calls it
        """Fill the buffer and return how many bytes came."""
        if self._file is None:
            self._file = self._path.open("rb")
            self._file.seek(self._at)
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        if not data:
            self._let_go()
        return len(data)

    def close(self) -> None:
        """Close the file for good."""
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
