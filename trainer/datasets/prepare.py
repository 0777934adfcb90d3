"""From a source to a manifest: what the interactive worker runs for every new dataset.

As a program (`python -m trainer.datasets.prepare`) it writes one JSON object a line: progress,
then `{"ready": …}` or `{"failed": …}`, and exits 0 or 1. It runs in a process of its own because
it opens files that nobody has vouched for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from trainer.datasets.archive import Limits, unpack_zip
from trainer.datasets.atomic import remove_folder
from trainer.datasets.catalogue import CatalogueEntry, RemoteArchive, catalogue_entry
from trainer.datasets.collection import scan_collection
from trainer.datasets.digits import write_digits
from trainer.datasets.download import WrongArchive, file_sha256, obtain_archive
from trainer.datasets.folder import check_folder_allowed, scan_folder
from trainer.datasets.manifest import Manifest, load_manifest, save_manifest
from trainer.errors import FieldError, InvalidInput, TuneboardError

Report = Callable[[dict[str, Any]], None]

KINDS = ("catalogue", "folder", "upload")

WORK_FOLDER = "torchvision"  # what torchvision unpacks, until it is laid out by class

log = logging.getLogger(__name__)


def prepare(
    kind: str,
    source: str,
    name: str,
    into: Path,
    *,
    mirror: Path | None = None,
    roots: Sequence[Path] = (),
    limits: Limits | None = None,
    report: Report | None = None,
    downloads: Path | None = None,
    labelled: bool = True,
) -> Manifest:
    """Prepare a dataset: write `into/manifest.json`, and `into/images` where images are ours.

    Repeating it is harmless: it starts over. On failure nothing is left in `into`.

    Args:
        kind: `catalogue`, `folder` or `upload`.
        source: A name in the catalogue, a folder on this machine, or an uploaded zip archive,
            which is deleted once the dataset is ready or refused.
        name: The dataset's name.
        into: The dataset's folder; made when needed.
        mirror: Folder searched for an archive before it is downloaded.
        roots: Folders under which a folder may be read.
        limits: What an uploaded archive may hold.
        report: Told `{"phase": "download" | "unpack" | "scan", "done": …, "total": …}`.
        downloads: Folder of downloaded archives; by default beside `into`.
        labelled: Whether folders are classes; else all images make one collection.

    Raises:
        InvalidInput: If the source is refused.
        TuneboardError: If it cannot be had or written.
    """
    into = into.absolute()
    manifest_file = into / "manifest.json"
    upload = Path(source).absolute() if kind == "upload" else None
    if upload and not upload.exists() and manifest_file.is_file():
        return load_manifest(manifest_file)  # an earlier try ended between the two
    _remove(into)
    try:
        into.mkdir(parents=True, exist_ok=True)
        if kind == "catalogue":
            entry = catalogue_entry(source)
            manifest = _from_catalogue(
                entry, name, into, mirror, downloads or into.parent / "downloads", report
            )
        elif kind == "folder":
            folder = check_folder_allowed(source, roots)
            scan = scan_folder if labelled else scan_collection
            manifest = scan(folder, name, extra_roots=roots, source=source, report=report)
        elif upload:
            manifest = _from_zip(upload, name, into, limits or Limits(), report, labelled=labelled)
        else:
            raise InvalidInput.of(FieldError("kind", kind, "one of " + ", ".join(KINDS)))
        save_manifest(manifest, manifest_file)
    except BaseException as error:
        _remove(into)
        if upload and isinstance(error, Exception):  # a stopped worker's successor needs it
            upload.unlink(missing_ok=True)
        raise
    if upload:
        upload.unlink(missing_ok=True)
    return manifest


def _from_catalogue(
    entry: CatalogueEntry,
    name: str,
    into: Path,
    mirror: Path | None,
    downloads: Path,
    report: Report | None,
) -> Manifest:
    images = into / "images"
    if entry.torchvision_bytes:
        # Not at the top: it brings torch, which no other dataset needs.
        from trainer.datasets.published import write_published

        write_published(
            entry.name,
            images,
            into / WORK_FOLDER,
            downloads,
            mirror=mirror,
            report=report,
            total_bytes=entry.torchvision_bytes,
        )
        return scan_folder(images, name, note=entry.note, report=report)
    if entry.archive is None:
        write_digits(images)
        return scan_folder(images, name, note=entry.note, report=report)
    path = obtain_archive(entry.archive, downloads, mirror=mirror, report=report)
    found = file_sha256(path)
    try:
        manifest = _from_zip(path, name, into, Limits(), report, note=entry.note)
    except InvalidInput as error:
        if found == entry.archive.sha256:
            raise
        raise _wrong_archive(path, entry.archive, found, error.detail) from error
    counts = {split: len(items) for split, items in manifest.splits.items()}
    if found != entry.archive.sha256 and manifest.fingerprint != entry.archive.images_fingerprint:
        raise _wrong_archive(
            path,
            entry.archive,
            found,
            f"Nor are its images the same: it holds {counts} with the fingerprint "
            f"{manifest.fingerprint}, expected {entry.splits} with "
            f"{entry.archive.images_fingerprint}.",
        )
    if counts != entry.splits:
        raise TuneboardError(
            f"{len(manifest.skipped)} files of {path.name} were skipped, which leaves {counts} "
            f"images instead of {entry.splits}.",
            "Install Pillow in the version that Tuneboard pins (make setup).",
        )
    return manifest


def _wrong_archive(path: Path, archive: RemoteArchive, found: str, detail: str) -> WrongArchive:
    return WrongArchive(
        f"{path} has SHA-256 {found}; the published {archive.file_name} has {archive.sha256}. "
        f"{detail}",
        f"Replace it by the file from {archive.url}, or remove it to have it downloaded.",
    )


def _from_zip(
    path: Path,
    name: str,
    into: Path,
    limits: Limits,
    report: Report | None,
    *,
    note: str = "",
    labelled: bool = True,
) -> Manifest:
    if not path.is_file():
        raise TuneboardError(f"The uploaded {path.name} is gone.", "Upload it again.")
    left_out = unpack_zip(path, into / "images", limits, report=report)
    scan = scan_folder if labelled else scan_collection
    manifest = scan(into / "images", name, field="file", source=path.name, report=report)
    skipped = sorted({*manifest.skipped, *left_out}, key=lambda s: (s.file, s.reason))
    return replace(manifest, note=note, skipped=tuple(skipped))


def _remove(into: Path) -> None:
    """Remove what an earlier try wrote, and the folder if nothing else is in it."""
    remove_folder(into / "images")
    remove_folder(into / WORK_FOLDER)
    for file in into.glob("manifest.json*"):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        into.rmdir()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit status, 0 when the dataset is ready and 1 otherwise."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    signal.signal(signal.SIGTERM, _stop)
    try:
        manifest = prepare(
            options.kind,
            options.source,
            options.name,
            options.into,
            mirror=options.mirror,
            roots=[Path(root) for root in options.roots.split(os.pathsep) if root],
            limits=Limits(
                archive_bytes=options.upload_limit_bytes,
                files=options.upload_files_limit,
                unpacked_bytes=options.unpacked_limit_bytes,
            ),
            report=_say,
            downloads=options.downloads,
            labelled=not options.unlabelled,
        )
    except TuneboardError as error:
        _say(
            {
                "failed": {
                    "title": error.title,
                    "detail": error.detail,
                    "remedy": error.remedy,
                    "errors": [problem.as_dict() for problem in error.errors],
                }
            }
        )
        return 1
    except Exception as error:
        log.exception("Preparing the dataset %s failed", options.name)
        _say(
            {
                "failed": {
                    "title": "The dataset could not be prepared",
                    "detail": f"{type(error).__name__}: {error}",
                    "remedy": "Make room on the data directory's disk and try again."
                    if isinstance(error, OSError)
                    else "The worker's log holds more; try again, or prepare it another way.",
                    "errors": [],
                }
            }
        )
        return 1
    _say({"ready": {"fingerprint": manifest.fingerprint, "summary": manifest.summary()}})
    return 0


def _say(message: dict[str, Any]) -> None:
    """Write one line; where nobody listens any more, stop as if told to."""
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - or Python complains when it exits
        _stop()


def _stop(*_: object) -> NoReturn:
    raise SystemExit(1)


def _parser() -> argparse.ArgumentParser:
    defaults = Limits()
    parser = argparse.ArgumentParser(
        prog="python -m trainer.datasets.prepare", description="Prepare a dataset."
    )
    parser.add_argument("--kind", required=True, choices=KINDS)
    parser.add_argument("--source", required=True, help="catalogue name, folder or zip archive")
    parser.add_argument("--name", required=True, help="the dataset's name")
    parser.add_argument("--into", required=True, type=Path, help="the dataset's own folder")
    parser.add_argument("--mirror", type=Path, help="folder searched before downloading")
    parser.add_argument("--downloads", type=Path, help="folder that keeps downloaded archives")
    parser.add_argument("--roots", default="", help="folders that may be read, with colons")
    parser.add_argument("--unlabelled", action="store_true", help="folders are no classes")
    parser.add_argument("--upload-limit-bytes", type=int, default=defaults.archive_bytes)
    parser.add_argument("--upload-files-limit", type=int, default=defaults.files)
    parser.add_argument("--unpacked-limit-bytes", type=int, default=defaults.unpacked_bytes)
    return parser


if __name__ == "__main__":
    sys.exit(main())
