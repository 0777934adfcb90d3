"""Walks a folder of images in sorted order, and says of each file why it is not one.

Links may not lead out of the folders that may be read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainer.datasets.images import EXTENSIONS, is_image_name
from trainer.datasets.manifest import Skipped

JUNK_NAMES = {"__macosx", ".ds_store", "thumbs.db", "desktop.ini"}
LEADS_OUTSIDE = "a link that leads outside the folders that may be read"


def is_junk(name: str) -> bool:
    """Tell whether an operating system left a file or folder of that name behind."""
    return name.lower() in JUNK_NAMES or name.startswith("._")


@dataclass(frozen=True)
class Found:
    """A file that has an image's name."""

    path: str
    label: str
    file: str


@dataclass
class Listing:
    """Walks folders in sorted order; links may not lead out of the allowed ones."""

    base: Path
    allowed: list[Path]
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, path: str, reason: str) -> None:
        """Note that a file or folder is left out, and why."""
        self.skipped.append(Skipped(printable(path), reason))

    def folders(self, folder: Path) -> list[str]:
        """Return the names of the folders in `folder`, hidden ones and junk left out."""
        return sorted(
            entry.name
            for entry in self._entries(folder)
            if _is_dir(entry) and not entry.name.startswith(".") and not is_junk(entry.name)
        )

    def class_names(self, folder: Path) -> list[str]:
        """Return the classes in `folder`; loose images there are skipped and named."""
        for entry in self._entries(folder):
            if is_image_name(entry.name) and not _is_dir(entry) and not is_junk(entry.name):
                self.skip(self._relative(entry.path), "lies in no class's folder")
        return self.folders(folder)

    def images(self, folder: Path, label: str) -> Iterator[Found]:
        """Yield the files below a class's folder that have an image's name."""
        seen: set[str] = set()
        pending = [str(folder)]
        while pending:
            current = pending.pop()
            relative = self._relative(current)
            real = os.path.realpath(current)
            if real in seen:
                self.skip(relative, "a link to a folder that was already read")
                continue
            seen.add(real)
            below = []
            for entry in self._entries(Path(current)):
                if is_junk(entry.name):
                    continue
                path = self._relative(entry.path)
                if _is_dir(entry):
                    if entry.name.startswith("."):
                        self.skip(path, "a hidden folder")
                    else:
                        below.append(entry.path)
                elif (reason := self._why_not(entry)) is not None:
                    self.skip(path, reason)
                else:
                    yield Found(path, label, entry.path)
            pending += reversed(below)

    def _why_not(self, entry: os.DirEntry[str]) -> str | None:
        """Return why a file is not even looked at, or None."""
        if not is_image_name(entry.name):
            return "its name ends in none of " + " ".join(EXTENSIONS)
        if not is_utf8(self._relative(entry.path)):
            return "its path is not valid UTF-8"
        if entry.is_symlink() and not self._is_allowed(os.path.realpath(entry.path)):
            return LEADS_OUTSIDE
        return None

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        if not self._is_allowed(os.path.realpath(folder)):
            self.skip(self._relative(str(folder)), LEADS_OUTSIDE)
            return []
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.skip(self._relative(str(folder)), f"cannot be read: {error.strerror or error}")
            return []

    def _is_allowed(self, real: str) -> bool:
        return any(Path(real).is_relative_to(root) for root in self.allowed)

    def _relative(self, path: str) -> str:
        return Path(path).relative_to(self.base).as_posix()


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def is_utf8(text: str) -> bool:
    """Tell whether a name from the file system can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Return the name with bytes that are not UTF-8 written as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
