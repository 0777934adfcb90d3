"""The list of a dataset's images: classes, splits, what was skipped, and a fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from trainer.datasets.sizes import Measures, Spread
from trainer.errors import NotFound, TuneboardError

SPLITS = ("train", "val", "test")
UNSPLIT = "images"  # the one split of a collection
NO_CLASS = -1  # label of an image of a collection
FORMAT = 1  # of manifest.json; raised when the reader below can no longer read older files
SKIPPED_LIMIT = 1_000  # files named in a summary, which is stored in the database; all are counted


@dataclass(frozen=True)
class Item:
    """One image: its id and its class."""

    path: str
    """POSIX path relative to the manifest's root; identifies the image everywhere."""
    label: int
    """Index into the manifest's classes; `NO_CLASS` where it has none."""


@dataclass(frozen=True)
class Skipped:
    """A file that is not part of the dataset, and why."""

    file: str
    """POSIX path relative to the root; bytes that are not UTF-8 are shown as ``\\xff``."""
    reason: str


@dataclass(frozen=True)
class Group:
    """Images that are the same, or nearly; see `trainer.datasets.duplicates`."""

    exact: bool
    """Whether all have the same pixels."""
    paths: tuple[str, ...]
    """Two or more, in order."""


@dataclass(frozen=True)
class Manifest:
    """A dataset that is ready to be trained on, or a collection ready to be classified."""

    name: str
    root: str
    """Absolute folder that the items' paths start from."""
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Item, ...]]
    """`train`, and `val` and `test` where the dataset brings its own; each sorted by path. A
    collection, which has no classes, has `images` alone."""
    skipped: tuple[Skipped, ...] = ()
    fingerprint: str = ""
    """Hash of the images' splits, paths, classes and bytes."""
    note: str = ""
    sizes: Mapping[str, Spread] = field(default_factory=dict)
    """Spread of `width` and of `height`; empty where nobody measured."""
    measures: Measures = field(default_factory=Measures)
    misnamed: tuple[Skipped, ...] = ()
    """Images that are used though their names tell another format, and which."""
    duplicates: tuple[Group, ...] | None = None
    """None where nobody has looked for them yet."""

    @cached_property
    def items(self) -> dict[str, tuple[str, Item]]:
        """The split and the item of every path."""
        return {item.path: (split, item) for split in self.splits for item in self.splits[split]}

    def file(self, path: str) -> Path:
        """Return where the image of that id lies.

        Raises:
            NotFound: If no item has that path; so no other file can be reached through it.
        """
        if path not in self.items:
            raise NotFound(f"The dataset `{self.name}` has no image `{path}`.")
        return Path(self.root, path)

    def summary(self) -> dict[str, Any]:
        """Return what pages show and the database keeps, as JSON would hold it."""
        return {
            "classes": list(self.classes),
            "splits": {split: len(items) for split, items in self.splits.items()},
            "counts": {split: self._counts(items) for split, items in self.splits.items()},
            "samples": sum(len(items) for items in self.splits.values()),
            "skipped": [
                {"file": skipped.file, "reason": skipped.reason}
                for skipped in self.skipped[:SKIPPED_LIMIT]
            ],
            "skipped_total": len(self.skipped),
            "sizes": {side: vars(spread) for side, spread in self.sizes.items()},
            "measures": _plain(self.measures),
            "note": self.note,
            "misnamed": [vars(one) for one in self.misnamed[:SKIPPED_LIMIT]],
            "misnamed_total": len(self.misnamed),
            "duplicates": self.duplicates_summary(),
        }

    def duplicates_summary(self) -> dict[str, int] | None:
        """Return how many duplicates there are; None where nobody has looked for them yet."""
        if self.duplicates is None:
            return None
        found = [[self.items[path] for path in group.paths] for group in self.duplicates]
        return {
            "groups": len(found),
            "exact_groups": sum(group.exact for group in self.duplicates),
            "images": sum(map(len, found)),
            "across_splits": sum(len({split for split, _ in group}) > 1 for group in found),
            "across_classes": sum(len({item.label for _, item in group}) > 1 for group in found),
        }

    def _counts(self, items: Iterable[Item]) -> list[int]:
        counts = [0] * len(self.classes)
        for item in items:
            if item.label != NO_CLASS:
                counts[item.label] += 1
        return counts


def _plain(measures: Measures) -> dict[str, Any]:
    return {
        key: [list(row) for row in value] if isinstance(value, tuple) else value
        for key, value in vars(measures).items()
    }


def samples_fingerprint(items: Iterable[Item]) -> str:
    """Return a hash of the items' ids and labels in order: equal where runs saw the same images."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.path}\0{item.label}\n".encode())
    return digest.hexdigest()


def content_fingerprint(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """Return a dataset's fingerprint.

    Args:
        rows: Split, path, class name and SHA-256 of the bytes of every image, in any order.
    """
    digest = hashlib.sha256()
    for row in sorted(rows):
        digest.update("\0".join(row).encode() + b"\n")  # no path or name can hold a NUL
    return digest.hexdigest()


def save_manifest(manifest: Manifest, path: str | os.PathLike[str]) -> None:
    """Write the manifest as JSON, whole or not at all.

    A root below the file's folder is written relative to it, so the two can move together.
    """
    path = Path(path)
    root = Path(manifest.root)
    folder = path.absolute().parent
    document = {
        "format": FORMAT,
        "name": manifest.name,
        "root": str(root.relative_to(folder) if root.is_relative_to(folder) else root),
        "classes": manifest.classes,
        "splits": {
            split: [[item.path, item.label] for item in items]
            for split, items in manifest.splits.items()
        },
        "skipped": [[skipped.file, skipped.reason] for skipped in manifest.skipped],
        "fingerprint": manifest.fingerprint,
        "note": manifest.note,
        "sizes": {side: vars(spread) for side, spread in manifest.sizes.items()},
        "measures": _plain(manifest.measures),
        "misnamed": [[one.file, one.reason] for one in manifest.misnamed],
        "duplicates": None
        if manifest.duplicates is None
        else [[group.exact, group.paths] for group in manifest.duplicates],
    }
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False, separators=(",", ":"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Return the manifest in that file; one that has not changed is not read again.

    Raises:
        NotFound: If there is no such file.
        TuneboardError: If the file is no manifest that this version reads.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise NotFound(f"There is no manifest at {path}.", "Prepare the dataset again.") from None
    return _load(os.path.abspath(path), status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=4)
def _load(path: str, _mtime_ns: int, _size: int, _inode: int) -> Manifest:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, not {FORMAT}")
        return Manifest(
            name=document["name"],
            root=os.path.normpath(Path(path).parent / document["root"]),
            classes=tuple(document["classes"]),
            splits={
                split: tuple(Item(item, label) for item, label in items)
                for split, items in document["splits"].items()
            },
            skipped=tuple(Skipped(file, reason) for file, reason in document["skipped"]),
            fingerprint=document["fingerprint"],
            note=document["note"],
            misnamed=tuple(Skipped(*one) for one in document.get("misnamed", ())),
            duplicates=_groups(document.get("duplicates")),
            sizes={side: Spread(**spread) for side, spread in document["sizes"].items()},
            measures=Measures.of_json(document.get("measures", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TuneboardError(
            f"{path} cannot be read as a dataset's manifest: {error}.", "Prepare the dataset again."
        ) from error


def _groups(stored: list[tuple[bool, list[str]]] | None) -> tuple[Group, ...] | None:
    if stored is None:
        return None
    return tuple(Group(exact, tuple(paths)) for exact, paths in stored)
