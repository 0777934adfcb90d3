"""The client's calls about datasets: registered, uploaded in pieces, changed, tried out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from trainer.errors import Conflict, TuneboardError
from tuneboard.connection import Connection
from tuneboard.problems import Refused, Unanswered, Unreachable, field_errors_of

PIECE_BYTES = 8 * 1024**2
TRIES = 8
"""In a row without a byte arriving; with the waits between, half a minute."""
_WAIT_S = 0.5
_WAIT_LIMIT_S = 10.0
_LOOK_S = 0.3
_TAIL_BYTES = 256 * 1024  # what the server's `tail_sha256` is of

_Answer = TypeVar("_Answer")

Progress = Callable[[int, int], None]
"""Told how many of how many bytes have arrived."""


class DatasetCalls(Connection):
    """The part of `tuneboard.Client` that is about datasets."""

    def datasets(self) -> list[dict[str, Any]]:
        """Return the registered datasets and collections."""
        found: list[dict[str, Any]] = self._object("GET", "datasets")["datasets"]
        return found

    def dataset(self, name: str) -> dict[str, Any]:
        """Return a dataset: its state, classes, counts and skipped files."""
        return self._object("GET", f"datasets/{name}")

    def add_dataset(
        self, name: str, kind: str, source: str, *, labelled: bool = True
    ) -> dict[str, Any]:
        """Register a dataset, whose preparation begins.

        Args:
            name: Short name that specs will use.
            kind: catalogue or folder.
            source: The catalogue's name for it, or a folder on the server.
            labelled: False for a folder of images without classes, to be classified.
        """
        body = {"name": name, "kind": kind, "source": source, "labelled": labelled}
        return self._object("POST", "datasets", json=body)

    def upload_dataset(
        self,
        name: str,
        archive: Path,
        *,
        labelled: bool = True,
        on_progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Upload a zip of images laid out in a folder per class, and return the dataset.

        It is sent in pieces; lost connections are tried again, and an upload of the same file
        that was cut off, in another process too, goes on where it ended.

        Args:
            name: Short name that specs will use.
            archive: The zip file.
            labelled: False where the images have no classes and are to be classified.
            on_progress: Told how many of how many bytes have arrived.
        """
        tell = on_progress or _tell_nobody
        with archive.open("rb") as file:
            upload = self._begun(name, archive, file, labelled)
            offset, size, tries = upload["offset"], upload["size_bytes"], 0
            tell(offset, size)
            while offset < size:
                file.seek(offset)
                try:
                    offset = self._add(upload, file.read(PIECE_BYTES), offset)
                    tries = 0
                except (Unreachable, Unanswered, Conflict, Refused) as error:
                    tries += 1
                    if tries > TRIES or not _is_passing(error):
                        raise
                    time.sleep(min(_WAIT_LIMIT_S, _WAIT_S * 2 ** (tries - 1)))
                    offset = self._patiently(lambda: self._offset(upload))
                tell(offset, size)
        path = f"uploads/{upload['id']}/finish"
        return self._patiently(lambda: self._object("POST", path, json={}, timeout=None))

    def uploads(self) -> list[dict[str, Any]]:
        """Return your unfinished uploads."""
        found: list[dict[str, Any]] = self._object("GET", "uploads")["uploads"]
        return found

    def change_dataset(
        self,
        name: str,
        *,
        new_name: str | None = None,
        title: str | None = None,
        description: str | None = None,
    ) -> dict[str, Any]:
        """Rename or describe a dataset, and return it; None leaves a part as it is."""
        given = {"name": new_name, "title": title, "description": description}
        body = {key: value for key, value in given.items() if value is not None}
        return self._object("PATCH", f"datasets/{name}", json=body)

    def dataset_use(self, name: str) -> dict[str, Any]:
        """Return which runs use a dataset, and how many bytes deleting it would free."""
        return self._object("GET", f"datasets/{name}/use")

    def dataset_cut(self, name: str, **cut: Any) -> dict[str, Any]:
        """Return how many images of each class a cut gives, without copying anything.

        Args:
            name: The dataset's.
            cut: Fields of a spec's `dataset` section: `validation_fraction`, `split_seed`, …
        """
        return self._object("GET", f"datasets/{name}/cut", params=cut)

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset and the server's copy of its images; refused while live runs use it."""
        self._request("DELETE", f"datasets/{name}")

    def wait_for_dataset(self, name: str, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Return a dataset once its preparation has ended, well or not.

        Raises:
            TimeoutError: If it has not ended within `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found = self.dataset(name)
            if found["status"] != "preparing":
                return found
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"Dataset {name} was not ready after {timeout_s} s.")
            time.sleep(_LOOK_S)

    @staticmethod
    def dataset_error(dataset: Mapping[str, Any]) -> TuneboardError:
        """Return why a dataset's preparation failed."""
        error = dataset["error"]
        return TuneboardError(error["detail"], error.get("remedy", ""), field_errors_of(error))

    def _begun(
        self, name: str, archive: Path, file: BufferedReader, labelled: bool
    ) -> dict[str, Any]:
        """Return the upload to go on with: an unfinished one of this file, or a new one."""
        status = archive.stat()
        key = f"{archive.name}:{status.st_size}:{status.st_mtime_ns}"
        for upload in self.uploads():
            is_same = (upload["key"], upload["name"], upload["labelled"]) == (key, name, labelled)
            if is_same and _tail(file, upload["offset"]) == upload["tail_sha256"]:
                return upload
        file.seek(0)
        body = {
            "name": name,
            "filename": archive.name,
            "size_bytes": status.st_size,
            "labelled": labelled,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            "key": key,
        }
        return self._object("POST", "uploads", json=body)

    def _add(self, upload: Mapping[str, Any], piece: bytes, offset: int) -> int:
        headers = {
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
        }
        path = f"uploads/{upload['id']}"
        answer = self._request("PATCH", path, content=piece, headers=headers)
        return int(answer.headers["upload-offset"])

    def _offset(self, upload: Mapping[str, Any]) -> int:
        offset: int = self._object("GET", f"uploads/{upload['id']}")["offset"]
        return offset

    @staticmethod
    def _patiently(ask: Callable[[], _Answer]) -> _Answer:
        """Return what `ask` does, asked again for a while where nobody answers."""
        for tries in range(1, TRIES + 1):
            try:
                return ask()
            except (Unreachable, Unanswered, Refused) as error:
                if tries == TRIES or not _is_passing(error):
                    raise
                time.sleep(min(_WAIT_LIMIT_S, _WAIT_S * 2 ** (tries - 1)))
        raise AssertionError


def _tell_nobody(_done: int, _total: int) -> None:
    """Be told how many bytes have arrived."""


def _is_passing(error: Exception) -> bool:
    """Tell whether trying again may help."""
    if isinstance(error, Refused):
        return error.status >= 500 and error.status != 507
    return True


def _tail(file: BufferedReader, offset: int) -> str:
    start = max(0, offset - _TAIL_BYTES)
    file.seek(start)
    return hashlib.sha256(file.read(offset - start)).hexdigest()
