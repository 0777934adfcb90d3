"""Classifies images with a run's trained model: `python -m trainer.predict --help`.

Every image gets a percentage for each class, in a CSV file and, for the first ones, in the
answer. What cannot be read is left out and named.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.cells import harmless
from trainer.datasets.archive import Limits, unpack_zip
from trainer.datasets.images import is_image_name, probe, quiet_decoders
from trainer.datasets.listing import LEADS_OUTSIDE, is_junk
from trainer.datasets.manifest import load_manifest
from trainer.errors import FieldError, InvalidInput
from trainer.files import write_atomically
from trainer.process import wait_passively
from trainer.program import Say, answer_telling

ARCHIVE_SUFFIX = ".zip"
SAY_EVERY_S = 0.5
LISTED_LIMIT = 200
"""Images, and files left out, that the answer lists; the CSV file has all images."""
LISTED_CELLS_LIMIT = 50_000
"""Probabilities in the answer, which is stored in the database."""


@dataclass(frozen=True)
class Picture:
    """A file to be classified."""

    name: str
    """How its user calls it."""
    path: Path


@dataclass(frozen=True)
class Found:
    """What there is to classify, and what was left out."""

    pictures: tuple[Picture, ...]
    skipped: tuple[tuple[str, str], ...]
    """Name and reason."""


def find_pictures(paths: Sequence[Path], roots: Sequence[Path] = ()) -> Found:
    """Return the images among files and below folders, in the order of their names.

    Args:
        paths: Files, and folders to be searched.
        roots: Where given, a file whose links resolved lie elsewhere is left out.

    Raises:
        InvalidInput: If a path does not exist, or no image is found.
    """
    allowed = [root.resolve() for root in roots]
    pictures, skipped = [], []
    for path in paths:
        if not path.exists():
            raise InvalidInput.of(FieldError("paths", str(path), "a file or folder that exists"))
        listed = _below(path) if path.is_dir() else [Picture(path.name, path)]
        for picture in listed:
            file = picture.path.resolve()
            if allowed and not any(file.is_relative_to(root) for root in allowed):
                skipped.append((picture.name, LEADS_OUTSIDE))
            else:
                pictures.append(picture)
    return _readable(pictures, skipped)


def listed_pictures(listing: Path, limits: Limits | None = None) -> Found:
    """Return the images that a JSON file lists as [name, path] pairs, and those in zip archives.

    Args:
        listing: An archive of it is unpacked beside itself.
        limits: Of one archive.

    Raises:
        InvalidInput: If none of them can be read.
    """
    pictures, skipped = [], []
    for name, path in json.loads(listing.read_text(encoding="utf-8")):
        if not name.lower().endswith(ARCHIVE_SUFFIX):
            pictures.append(Picture(name, Path(path)))
            continue
        folder = Path(f"{path}-unpacked")
        try:
            left_out = unpack_zip(Path(path), folder, limits or Limits(), source=name)
        except InvalidInput as error:
            skipped.append((name, str(error)))
            continue
        skipped += [(one.file, one.reason) for one in left_out]
        pictures += _below(folder)
    return _readable(pictures, skipped)


def dataset_pictures(manifest_file: Path) -> Found:
    """Return all images of a prepared dataset or collection, by the paths that its pages show.

    Raises:
        NotFound: If there is no such manifest.
        InvalidInput: If none of its images can be read any more.
    """
    manifest = load_manifest(manifest_file)
    return _readable([Picture(path, manifest.file(path)) for path in sorted(manifest.items)], [])


def classify(
    attempt: Path,
    found: Found,
    out: Path,
    *,
    device: str = "recorded",
    say: Say = lambda _told: None,
) -> dict[str, Any]:
    """Classify the images, write the CSV file and return what is to be said of them.

    Args:
        attempt: Folder of the run's last attempt.
        found: The images.
        out: The CSV file: `file`, `predicted`, and a column of percentages for each class.
        device: recorded or cpu.
        say: Told now and then how many images are done.

    Raises:
        RunFailure: If the run's files are not whole.
    """
    wait_passively()
    from trainer.trained import load_trained  # takes seconds: torch comes with it

    model = load_trained(attempt, "cpu" if device == "cpu" else "recorded")
    files = [picture.path for picture in found.pictures]
    names = iter(picture.name for picture in found.pictures)
    most = min(LISTED_LIMIT, max(1, LISTED_CELLS_LIMIT // len(model.classes)))
    listed: list[dict[str, Any]] = []

    def rows() -> Iterator[tuple[str, str, list[float]]]:
        done, said_at = 0, 0.0
        for batch in model.of_files(files):
            done += len(batch)
            if time.monotonic() - said_at > SAY_EVERY_S:
                said_at = time.monotonic()
                say({"what": "classifying images", "done": done, "total": len(files)})
            for chances in batch.tolist():
                best = max(range(len(chances)), key=chances.__getitem__)
                yield next(names), model.classes[best], chances

    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = ["file", "predicted", *(f"{name} %" for name in model.classes)]
    table.writerow(map(harmless, columns))
    for name, predicted, chances in rows():
        table.writerow(
            [harmless(name), harmless(predicted), *(f"{100 * chance:.4f}" for chance in chances)]
        )
        if len(listed) < most:
            listed.append({"file": name, "predicted": predicted, "probabilities": chances})
    write_atomically(out, lambda file: file.write(text.getvalue().encode()))
    return {
        "classes": list(model.classes),
        "predictions": listed,
        "total": len(files),
        "skipped": [
            {"file": name, "reason": reason} for name, reason in found.skipped[:LISTED_LIMIT]
        ],
        "skipped_total": len(found.skipped),
        "device": model.choices.device_name,
        "file": out.name,
    }


def _below(folder: Path) -> list[Picture]:
    return [
        Picture(file.relative_to(folder).as_posix(), file)
        for file in sorted(folder.rglob("*"))
        if is_image_name(file.name) and not is_junk(file.name) and file.is_file()
    ]


def _readable(pictures: Sequence[Picture], left_out: Sequence[tuple[str, str]]) -> Found:
    """Return the images that can be decoded, and why the others cannot.

    Raises:
        InvalidInput: If there is none.
    """
    kept, skipped = [], list(left_out)
    with quiet_decoders():
        for picture in pictures:
            seen = probe(picture.path)
            if isinstance(seen, str):
                skipped.append((picture.name, seen))
            else:
                kept.append(picture)
    if not kept:
        why = f" (`{skipped[0][0]}`: {skipped[0][1]})" if skipped else ""
        named = [name for name, _ in skipped[:3]]
        raise InvalidInput.of(FieldError("images", named, f"at least one readable image{why}"))
    return Found(tuple(kept), tuple(skipped))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.predict", description="Classify images with a trained run."
    )
    parser.add_argument("--run-dir", required=True, type=Path, help="folder of its last attempt")
    parser.add_argument("--out", required=True, type=Path, help="CSV file to write")
    parser.add_argument("--listing", type=Path, help="JSON file of [name, path] pairs")
    parser.add_argument("--data", type=Path, help="manifest of a dataset whose images are meant")
    parser.add_argument("--files-limit", type=int, default=Limits.files, help="of an archive")
    parser.add_argument("--unpacked-limit-bytes", type=int, default=Limits.unpacked_bytes)
    parser.add_argument("--root", type=Path, action="append", default=[], help="may be read")
    parser.add_argument("--device", choices=("recorded", "cpu"), default="recorded")
    parser.add_argument("paths", type=Path, nargs="*", help="images, or folders of images")
    options = parser.parse_args(arguments)

    def work(say: Say) -> dict[str, Any]:
        if options.listing is not None:
            limits = Limits(files=options.files_limit, unpacked_bytes=options.unpacked_limit_bytes)
            found = listed_pictures(options.listing, limits)
        elif options.data is not None:
            found = dataset_pictures(options.data)
        else:
            found = find_pictures(options.paths, options.root)
        return classify(options.run_dir, found, options.out, device=options.device, say=say)

    return answer_telling(work)


if __name__ == "__main__":
    sys.exit(main())
