"""What runs said of every image of an evaluation, read from the files their trainers wrote.

The files are numpy's .npz. A few lines read them, so that the web process needs no numpy: the
labels and the likeliest classes of all images, kept for a while; probabilities only of the images
that are asked for.
"""

from __future__ import annotations

import ast
import sys
import zipfile
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import IO, Any

from store.rows import EvaluationRow
from store.settings import Settings
from trainer.errors import NotFound

CACHE_LIMIT_BYTES = 16 * 1024 * 1024
READ_BYTES = 256 * 1024
_UNREADABLE = (  # what a file that is broken, or none of ours, can raise
    OSError, EOFError, ValueError, OverflowError, KeyError, TypeError, SyntaxError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class PredictionsGone(NotFound):
    """The predictions of an evaluation are not here or cannot be used; the detail says why."""

    title = "No predictions"


@dataclass(frozen=True)
class Predictions:
    """The likeliest class of every image and its probability, in the split's order."""

    labels: array[int]
    predicted: array[int]
    confidences: array[float]
    """Probability of the likeliest class."""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def right(self) -> bytes:
        """1 for each image whose class was found, else 0."""
        return bytes(map(int.__eq__, self.labels, self.predicted))

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        columns = (self.labels, self.predicted, self.confidences)
        return len(self) * (sum(column.itemsize for column in columns) + 1)


@dataclass(frozen=True)
class Opinion:
    """What a run said of one image."""

    index: int
    """Place in the split, from 0."""
    id: str
    """Path of the image below its dataset's folder."""
    label: int
    probabilities: tuple[float, ...]
    """One a class."""

    @property
    def predicted(self) -> int:
        """The likeliest class."""
        return self.probabilities.index(max(self.probabilities))


def predictions(settings: Settings, row: EvaluationRow) -> Predictions:
    """Return the classes an evaluation found.

    Raises:
        PredictionsGone: If the file is not here, or is not that of the evaluation.
    """
    path = _file(settings, row)
    try:
        status = path.stat()
    except OSError as error:
        raise _gone(row, "their file was removed") from error
    key = (str(path), status.st_mtime_ns, status.st_size)
    found = _CACHE.get(key)
    if found is None:
        found = _checked(row, _read(row, path))
        _CACHE.put(key, found)
    return found


def opinions(settings: Settings, row: EvaluationRow, indices: Sequence[int]) -> list[Opinion]:
    """Return what a run said of some images, in the order asked for.

    Args:
        indices: Places in the split, from 0.

    Raises:
        PredictionsGone: If the file is not here, or is not that of the evaluation.
        NotFound: If the split has no image at one of the places.
    """
    for index in indices:
        if not 0 <= index < row.samples:
            raise NotFound(f"The {row.split} split of run {row.run_id} has no image {index}.")
    try:
        with zipfile.ZipFile(_file(settings, row)) as packed:
            return [
                Opinion(index, name, label, shares)
                for index, name, label, shares in zip(
                    indices,
                    _ids(packed, indices),
                    _labels(packed, indices),
                    _probabilities(packed, indices),
                    strict=True,
                )
            ]
    except _UNREADABLE as error:
        raise _gone(row, f"their file cannot be read ({error})") from error


@dataclass(frozen=True)
class _Column:
    """An array within the file: its bytes from `start` on."""

    file: IO[bytes]
    start: int
    kind: str
    shape: tuple[int, ...]


class _Cache:
    """The newest predictions, as many as fit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lock = Lock()
        self._found: OrderedDict[tuple[str, int, int], Predictions] = OrderedDict()

    def get(self, key: tuple[str, int, int]) -> Predictions | None:
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: tuple[str, int, int], found: Predictions) -> None:
        with self._lock:
            self._found[key] = found
            while self.size_bytes > self._limit:
                self._found.popitem(last=False)

    @property
    def size_bytes(self) -> int:
        return sum(one.size_bytes for one in self._found.values())


_CACHE = _Cache(CACHE_LIMIT_BYTES)


def _file(settings: Settings, row: EvaluationRow) -> Path:
    if not row.predictions_file:
        raise _gone(row, "a script outside Tuneboard reported it, without them")
    return settings.run_dir(row.run_id) / row.predictions_file


def _gone(row: EvaluationRow, why: str) -> PredictionsGone:
    return PredictionsGone(
        f"The {row.split} predictions of run {row.run_id} are not here: {why}.",
        "Train the run again to compare it image by image.",
    )


def _read(row: EvaluationRow, path: Path) -> Predictions:
    try:
        with zipfile.ZipFile(path) as packed:
            with packed.open("labels.npy") as file:
                labels = array("H", _integers(_column(file, "<i8", 1).file.read()))
            with packed.open("probabilities.npy") as file:
                column = _column(file, "<f4", 2)
                predicted, confidences = _likeliest(file, column.shape[1])
    except _UNREADABLE as error:
        raise _gone(row, f"their file cannot be read ({error})") from error
    return Predictions(labels, predicted, confidences)


def _checked(row: EvaluationRow, found: Predictions) -> Predictions:
    """Return the predictions if they are those of which the evaluation's figures were made."""
    of_class = [sum(cells) for cells in row.confusion]
    counted = [0] * len(of_class)
    for label in found.labels:
        if label < len(counted):
            counted[label] += 1
    if len(found) != row.samples or len(found.predicted) != len(found) or counted != of_class:
        raise _gone(row, "their file holds other images than the evaluation counted")
    return found


def _likeliest(file: IO[bytes], classes: int) -> tuple[array[int], array[float]]:
    found, confidences = array("H"), array("f")
    row_bytes = 4 * classes
    while chunk := file.read(row_bytes * max(1, READ_BYTES // row_bytes)):
        values = _floats(chunk)
        for start in range(0, len(values), classes):
            shares = values[start : start + classes]
            best = max(shares)
            found.append(shares.index(best))
            confidences.append(best)
    return found, confidences


def _ids(packed: zipfile.ZipFile, indices: Sequence[int]) -> list[str]:
    with packed.open("ids.npy") as file:
        column = _column(file, "<U", 1)
        size = 4 * int(column.kind.removeprefix("<U"))
        parts = _parts(column, indices, size)
        return [part.decode("utf-32-le").rstrip("\0") for part in parts]


def _labels(packed: zipfile.ZipFile, indices: Sequence[int]) -> list[int]:
    with packed.open("labels.npy") as file:
        column = _column(file, "<i8", 1)
        return [_integers(part)[0] for part in _parts(column, indices, 8)]


def _probabilities(packed: zipfile.ZipFile, indices: Sequence[int]) -> list[tuple[float, ...]]:
    with packed.open("probabilities.npy") as file:
        column = _column(file, "<f4", 2)
        size = 4 * column.shape[1]
        return [tuple(_floats(part)) for part in _parts(column, indices, size)]


def _parts(column: _Column, indices: Sequence[int], size: int) -> Iterator[bytes]:
    """Yield the bytes of each element, `size` long; those that lie together are read together."""
    start = 0
    while start < len(indices):
        end = start + 1
        while end < len(indices) and indices[end] == indices[end - 1] + 1:
            end += 1
        if indices[end - 1] >= column.shape[0]:
            raise ValueError(f"it has {column.shape[0]} images")
        column.file.seek(column.start + indices[start] * size)
        found = column.file.read(size * (end - start))
        if len(found) < size * (end - start):
            raise EOFError("it ends too early")
        for place in range(0, len(found), size):
            yield found[place : place + size]
        start = end


def _column(file: IO[bytes], kind: str, dimensions: int) -> _Column:
    """Read the header of an array, as numpy.lib.format describes it, up to its first byte.

    Raises:
        ValueError: If it is not of that kind and so many dimensions.
    """
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY":
        raise ValueError("it is not numpy's")
    length_bytes = 2 if magic[6] == 1 else 4
    length = int.from_bytes(file.read(length_bytes), "little")
    header = ast.literal_eval(file.read(length).decode("latin-1"))
    found, shape = header["descr"], header["shape"]
    if not found.startswith(kind) or len(shape) != dimensions or 0 in shape[1:]:
        raise ValueError(f"it holds {found} {shape}")
    if header["fortran_order"]:
        raise ValueError("its columns come first")
    return _Column(file, 8 + length_bytes + length, found, shape)


def _integers(content: bytes) -> array[int]:
    return _filled(array("q"), content)


def _floats(content: bytes) -> array[float]:
    return _filled(array("f"), content)


def _filled(numbers: array[Any], content: bytes) -> array[Any]:
    """Return the little-endian numbers in `content`, in the empty array given."""
    if len(content) % numbers.itemsize:
        raise EOFError("it ends too early")
    numbers.frombytes(content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
