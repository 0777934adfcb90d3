"""Uploaded zip archives: checked as a whole first, then unpacked, images only.

An archive is not to be trusted. Nothing is written before every entry's path, kind and stated
size has been checked, and the bytes that really come out are counted again.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trainer.datasets.atomic import new_folder
from trainer.datasets.folder import REPORT_EVERY_S, SPLIT_NAMES
from trainer.datasets.images import EXTENSIONS, is_image_name
from trainer.datasets.listing import is_junk
from trainer.datasets.manifest import Skipped
from trainer.errors import FieldError, InvalidInput, TuneboardError

COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others can ask for gigabytes to unpack
CHUNK_BYTES = 1024 * 1024
PROBLEMS_SHOWN = 10
RATIO_FLOOR_BYTES = 64 * 1024**2  # below this a high ratio can do no harm
DIRECTORY_BYTES_A_FILE = 512  # far above the usual 100; bounds what listing the archive costs
# What zipfile raises on broken archives.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
# What the file system says of names it cannot hold, as against a disk that is full.
BAD_NAMES = {
    errno.ENAMETOOLONG,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EILSEQ,
    errno.EINVAL,
}


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    archive_bytes: int = 4 * 1024**3
    files: int = 200_000
    unpacked_bytes: int = 20 * 1024**3
    ratio: float = 100.0
    """Unpacked bytes per packed byte; images hardly compress, so a high one hides something."""


@dataclass(frozen=True)
class Plan:
    """What unpacking an archive will do."""

    images: tuple[tuple[zipfile.ZipInfo, str], ...]
    """The entries to unpack, and where to: POSIX paths with the common top folder stripped."""
    folders: tuple[str, ...]
    """Every folder of the archive; one that gets no image must still be seen to be empty."""
    skipped: tuple[Skipped, ...]
    """Files in classes' folders that are no images."""


def check_zip(path: Path, limits: Limits, *, source: str | None = None) -> Plan:
    """Return what unpacking would do, from the archive's list of contents alone.

    Args:
        path: The archive.
        limits: What it may hold.
        source: The name refusals give the archive; by default that of the file.

    Raises:
        InvalidInput: If the archive is refused; up to ten entries are named.
    """
    source = source or path.name
    if path.stat().st_size > limits.archive_bytes:
        raise _refusal(
            source,
            f"an archive of at most {limits.archive_bytes:,} bytes; it has {path.stat().st_size:,}",
            "Raise TUNEBOARD_UPLOAD_LIMIT_BYTES.",
        )
    try:
        _check_directory_size(path, limits, source)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except UNREADABLE as error:
        raise _unreadable(source, error) from error
    return _plan(entries, path.stat().st_size, limits, source)


def unpack_zip(
    path: Path,
    into: Path,
    limits: Limits,
    *,
    source: str | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[Skipped, ...]:
    """Unpack the archive's images into the new folder `into`; on any failure nothing is left.

    Returns:
        The files in classes' folders that are no images and were not unpacked.

    Raises:
        InvalidInput: If the archive is refused or broken.
        TuneboardError: If the disk refuses.
    """
    source = source or path.name
    plan = check_zip(path, limits, source=source)
    try:
        with new_folder(into) as folder, zipfile.ZipFile(path) as archive:
            for name in plan.folders:
                with _on_disk(name, source):
                    (folder / name).mkdir(parents=True, exist_ok=True)
            _unpack(archive, plan, folder, limits, source, report)
    except UNREADABLE as error:
        raise _unreadable(source, error) from error
    return plan.skipped


def _plan(entries: list[zipfile.ZipInfo], archive_bytes: int, limits: Limits, source: str) -> Plan:
    problems = [
        FieldError("file", _short(entry.filename), *problem)
        for entry in entries
        if (problem := _problem(entry)) is not None
    ]
    if problems:
        raise InvalidInput.of(*problems[:PROBLEMS_SHOWN])

    kept = [(entry, path) for entry in entries if not _is_ignored(entry, path := _path(entry))]
    files = [(entry, path) for entry, path in kept if not _is_folder(entry)]
    images = [(entry, path) for entry, path in files if is_image_name(path.name)]
    _check_amounts(files, archive_bytes, limits, source)
    if not images:
        raise _refusal(
            source,
            f"an archive with images ({' '.join(EXTENSIONS)}); it has none",
            "Zip a folder with one folder of images for each class.",
        )
    names = [path for _, path in files]
    (often, times), *_ = Counter(names).most_common(1)
    if times > 1:
        raise _refusal(
            source, f"an archive with each file once; `{_short(str(often))}` is in it {times} times"
        )

    folders = {path for entry, path in kept if _is_folder(entry)}
    folders |= {parent for path in names for parent in path.parents if parent.parts}
    depth = _common_depth([path for _, path in images], folders)
    return Plan(
        images=tuple((entry, str(_strip(path, depth))) for entry, path in images),
        folders=tuple(sorted(str(_strip(path, depth)) for path in folders if _below(path, depth))),
        skipped=tuple(
            Skipped(str(_strip(path, depth)), "its name ends in none of " + " ".join(EXTENSIONS))
            for path in names
            if not is_image_name(path.name) and len(path.parts) > depth + 1
        ),
    )


def _problem(entry: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Return what was expected of the entry and the remedy, or None where it is harmless."""
    name = entry.filename.replace("\\", "/")
    repack = "Zip the folder again without it."
    if "\0" in entry.orig_filename:
        return "a name without NUL bytes", repack
    if name.startswith("/"):
        return "a relative path; it is absolute", "Zip the folder itself, by a relative path."
    if re.match(r"[A-Za-z]:", name):
        return "a path without a drive letter", "Zip the folder itself, by a relative path."
    if ".." in name.split("/"):
        return "a path inside the archive's own folder; it leads out of it", repack
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a file or folder; it is a symbolic link", "Zip the file it leads to instead."
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a file or folder; it is a device, pipe or socket", repack
    if entry.flag_bits & 0x1:
        return "readable without a password; it is encrypted", "Zip it without a password."
    if entry.compress_type not in COMPRESSIONS:
        return "stored or deflated", "Zip it with the ordinary compression (deflate)."
    return None


def _check_amounts(
    files: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    archive_bytes: int,
    limits: Limits,
    source: str,
) -> None:
    if len(files) > limits.files:
        raise _too_many_files(source, len(files), limits)
    unpacked = sum(entry.file_size for entry, _ in files)
    packed = sum(entry.compress_size for entry, _ in files)
    if unpacked > limits.unpacked_bytes:
        raise _too_large(source, f"{unpacked:,}", limits)
    if packed > archive_bytes:
        raise _refusal(source, "an archive whose files do not share their bytes; these overlap")
    if unpacked > RATIO_FLOOR_BYTES and unpacked > limits.ratio * max(packed, 1):
        raise _refusal(
            source,
            f"an archive that unpacks to at most {limits.ratio:.0f} times its size; it would "
            f"unpack {packed:,} bytes to {unpacked:,}",
            "Images hardly shrink in a zip; convert blank bitmaps to PNG first.",
        )


def _check_directory_size(path: Path, limits: Limits, source: str) -> None:
    """Refuse an archive whose list of contents is too long to be read into memory at all."""
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        file.seek(max(0, end - 65_557))  # the end record and the longest comment
        tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < 22:
        return  # zipfile says what is wrong
    count, size = struct.unpack_from("<HI", tail, place + 10)
    wide = tail.rfind(b"PK\6\6", 0, place)
    if wide >= 0 and len(tail) - wide >= 56:
        count, size = struct.unpack_from("<QQ", tail, wide + 32)
    if size > 65_536 + limits.files * DIRECTORY_BYTES_A_FILE:
        raise _too_many_files(source, count, limits)


def _unpack(
    archive: zipfile.ZipFile,
    plan: Plan,
    folder: Path,
    limits: Limits,
    source: str,
    report: Callable[[dict[str, Any]], None] | None,
) -> None:
    unpacked_bytes, said = 0, 0.0
    for done, (entry, name) in enumerate(plan.images, start=1):
        with (
            _on_disk(name, source),
            (folder / name).open("xb") as target,
            archive.open(entry) as content,
        ):
            while chunk := content.read(CHUNK_BYTES):
                unpacked_bytes += len(chunk)
                if unpacked_bytes > limits.unpacked_bytes:
                    raise _too_large(source, "more", limits)
                target.write(chunk)
        now = time.monotonic()
        if report and (now - said >= REPORT_EVERY_S or done == len(plan.images)):
            said = now
            report({"phase": "unpack", "done": done, "total": len(plan.images)})


@contextmanager
def _on_disk(name: str, source: str) -> Iterator[None]:
    """Say whose fault it is when the disk refuses."""
    try:
        yield
    except OSError as error:
        if error.errno in BAD_NAMES:
            raise _refusal(
                source,
                f"an archive whose names fit this disk; `{_short(name)}` does not "
                f"({error.strerror})",
                "Rename it.",
            ) from error
        raise TuneboardError(
            f"`{_short(name)}` could not be unpacked: {error.strerror or error}.",
            "Make room on the data directory's disk and try again."
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "Check the data directory's disk.",
        ) from error


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return the entry's path; some old programs wrote Windows' separator."""
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith(("/", "\\"))


def _is_ignored(entry: zipfile.ZipInfo, path: PurePosixPath) -> bool:
    """Tell whether the entry is nothing, in something hidden, or an operating system's litter."""
    folders = path.parts if _is_folder(entry) else path.parts[:-1]
    return (
        not path.parts
        or any(is_junk(part) for part in path.parts)
        or any(part.startswith(".") for part in folders)
    )


def _common_depth(images: list[PurePosixPath], folders: set[PurePosixPath]) -> int:
    """Return how many top folders can be stripped because everything lies in them.

    A top folder stays when images lie directly in it (it is a class) or it names a split.
    """
    depth = 0
    while True:
        heads = {path.parts[depth] for path in images} | {
            path.parts[depth] for path in folders if len(path.parts) > depth
        }
        if (
            len(heads) != 1
            or heads & set(SPLIT_NAMES)
            or any(len(path.parts) < depth + 3 for path in images)
        ):
            return depth
        depth += 1


def _strip(path: PurePosixPath, depth: int) -> PurePosixPath:
    return PurePosixPath(*path.parts[depth:])


def _below(path: PurePosixPath, depth: int) -> bool:
    return len(path.parts) > depth


def _too_many_files(source: str, count: int, limits: Limits) -> InvalidInput:
    return _refusal(
        source,
        f"an archive of at most {limits.files:,} files; it has {count:,}",
        "Raise TUNEBOARD_UPLOAD_FILES_LIMIT.",
    )


def _too_large(source: str, found: str, limits: Limits) -> InvalidInput:
    return _refusal(
        source,
        f"an archive that unpacks to at most {limits.unpacked_bytes:,} bytes; it has {found}",
        "Raise TUNEBOARD_UNPACKED_LIMIT_BYTES.",
    )


def _unreadable(source: str, error: Exception) -> InvalidInput:
    return _refusal(
        source,
        f"a zip archive that can be read ({str(error) or type(error).__name__})",
        "Zip the folder again and upload it whole.",
    )


def _refusal(source: str, expected: str, remedy: str = "") -> InvalidInput:
    return InvalidInput.of(FieldError("file", source, expected, remedy))


def _short(name: str) -> str:
    """Return an entry's name as an error can show it."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= 200 else shown[:199] + "…"
