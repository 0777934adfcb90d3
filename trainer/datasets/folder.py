"""A folder of images laid out by class, read as torchvision's ImageFolder reads it.

Either `CLASS/…` or `train/CLASS/…` with `val` and `test` beside it. Every image is opened and
fully decoded once; what cannot be used is skipped and named. Nothing is copied.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trainer.datasets.duplicates import Look, find_groups
from trainer.datasets.images import Probe, examine, misnamed, probe, quiet_decoders
from trainer.datasets.listing import Found, Listing, is_utf8, printable
from trainer.datasets.manifest import Item, Manifest, Skipped, content_fingerprint
from trainer.datasets.sizes import measures, spreads
from trainer.errors import FieldError, InvalidInput

Report = Callable[[dict[str, Any]], None]

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
REPORT_EVERY_S = 0.5
BATCH = 256  # images handed to the threads at a time, so that 200,000 futures are never alive
PROBLEMS_SHOWN = 10


def check_folder_allowed(
    path: str | os.PathLike[str], roots: Sequence[Path], *, field: str = "source"
) -> Path:
    """Return the folder with links resolved, if it lies under one of the roots.

    Raises:
        InvalidInput: If it does not, or is no folder.
    """
    shown = os.fspath(path)
    try:
        folder = Path(shown).resolve()
        resolved_roots = [Path(root).resolve() for root in roots]
    except (OSError, ValueError, RuntimeError) as error:
        raise _refusal(field, shown, f"the path of a folder ({error})") from error
    if not Path(shown).is_absolute():
        raise _refusal(field, shown, "an absolute path", "Start it with /.")
    if not any(folder.is_relative_to(root) for root in resolved_roots):
        # Said before anything is told of what exists there.
        allowed = ", ".join(str(root) for root in roots)
        raise _refusal(
            field,
            shown,
            f"a folder under {allowed}" if allowed else "under a folder opened for reading",
            f"TUNEBOARD_DATA_ROOTS lists the folders that may be read{_none(allowed)}; "
            "add this one to it and start Tuneboard again.",
        )
    if not folder.is_dir():
        raise _refusal(field, shown, "an existing folder", "Check the spelling.")
    return folder


def _none(allowed: str) -> str:
    return "" if allowed else " and lists none"


def scan_folder(
    root: str | os.PathLike[str],
    name: str,
    *,
    extra_roots: Sequence[Path] = (),
    note: str = "",
    field: str = "source",
    source: str | None = None,
    report: Report | None = None,
) -> Manifest:
    """Return the manifest of a folder laid out by class.

    Args:
        root: The folder; the items' paths are relative to it.
        name: The dataset's name.
        extra_roots: Folders that links inside `root` may lead to, beside `root` itself.
        note: What a page says beside the dataset.
        field: Name of the input field that refusals name.
        source: What refusals say came; by default the folder.
        report: Told `{"phase": "scan", "done": …, "total": …}` about twice a second.

    Raises:
        InvalidInput: If it is no folder, there are fewer than two classes, a class has no
            readable image, or a split misses a class.
    """
    base = Path(root).resolve()
    if not base.is_dir():
        raise _refusal(field, source or str(root), "an existing folder", "Check the spelling.")
    listing = Listing(base, [base, *(Path(extra).resolve() for extra in extra_roots)])
    splits = _split_folders(base, listing, field, source or str(root))
    found: dict[str, list[Found]] = {}
    classes: dict[str, list[str]] = {}
    for split, folder in splits.items():
        classes[split] = listing.class_names(folder)
        found[split] = [
            image for label in classes[split] for image in listing.images(folder / label, label)
        ]
    _check_classes(base, splits, classes, field, source or str(root))

    probes = probe_all([image for split in found for image in found[split]], report, with_look=True)
    labels = {label: index for index, label in enumerate(classes["train"])}
    items: dict[str, tuple[Item, ...]] = {}
    rows = []
    for split, images in found.items():
        good = []
        for image in images:
            result = probes[image.path]
            if isinstance(result, str):
                listing.skip(image.path, result)
            else:
                good.append(Item(image.path, labels[image.label]))
                rows.append((split, image.path, image.label, result.sha256))
        items[split] = tuple(sorted(good, key=lambda item: item.path))
    readable = [result for result in probes.values() if isinstance(result, Probe)]
    manifest = Manifest(
        name=name,
        root=str(base),
        classes=tuple(labels),
        splits=items,
        skipped=tuple(sorted(listing.skipped, key=lambda skipped: skipped.file)),
        fingerprint=content_fingerprint(rows),
        note=note,
        sizes=spreads(readable),
        measures=measures(readable),
        misnamed=tuple(
            Skipped(path, reason)
            for path, result in sorted(probes.items())
            if isinstance(result, Probe) and (reason := misnamed(path, result))
        ),
        duplicates=find_groups(looks_of(probes), report),
    )
    _check_no_class_is_empty(manifest, splits, field)
    return manifest


def _split_folders(base: Path, listing: Listing, field: str, source: str) -> dict[str, Path]:
    """Return the folder of every split; just `train` where the classes lie directly in `base`."""
    folders = listing.folders(base)
    named = [name for name in folders if name.lower() in SPLIT_NAMES]
    has_train = any(
        SPLIT_NAMES[name.lower()] == "train" and listing.folders(base / name) for name in named
    )
    if not has_train:
        if named and len(named) == len(folders) and any(listing.folders(base / n) for n in named):
            raise _refusal(
                field,
                source,
                "a folder with a `train` folder beside " + _names(named),
                "Rename the folder with the training images to `train`.",
            )
        return {"train": base}
    splits: dict[str, Path] = {}
    for name in named:
        split = SPLIT_NAMES[name.lower()]
        if split in splits:
            raise _refusal(
                field,
                source,
                f"a folder with one {split} split; it has {_names([splits[split].name, name])}",
                "Keep one of the two.",
            )
        splits[split] = base / name
    for name in folders:
        if name not in named:
            listing.skip(name, "a folder beside `train` that is no split")
    return {split: splits[split] for split in ("train", "val", "test") if split in splits}


def _check_classes(
    base: Path, splits: dict[str, Path], classes: dict[str, list[str]], field: str, source: str
) -> None:
    """Refuse fewer than two classes, names no id can hold, and splits that disagree."""
    train = classes["train"]
    if not train:
        where = "in it" if splits["train"] == base else f"in `{splits['train'].name}`"
        raise _refusal(
            field,
            source,
            f"a folder with one folder of images for each class; there are none {where}",
            "Lay it out as CLASS/image.jpg or as train/CLASS/image.jpg.",
        )
    if len(train) == 1:
        raise _refusal(
            field,
            source,
            f"a folder with at least two classes; it has only `{printable(train[0])}`",
            "Add a folder for each further class.",
        )
    errors = [
        FieldError(field, printable(name), "a class whose name is valid UTF-8", "Rename it.")
        for name in train
        if not is_utf8(name)
    ]
    for split, names in classes.items():
        folder = splits[split].name
        errors += [
            FieldError(
                field,
                f"{folder}/{printable(name)}",
                f"in every split; `{folder}` has no folder for the class `{printable(name)}`",
                "Add images of it there, or remove the split to have one cut from `train`.",
            )
            for name in train
            if name not in names
        ]
        errors += [
            FieldError(
                field,
                f"{folder}/{printable(name)}",
                f"a class that `{splits['train'].name}` has too",
                "Add training images of it, or remove the folder.",
            )
            for name in names
            if name not in train
        ]
    if errors:
        raise InvalidInput.of(*errors[:PROBLEMS_SHOWN])


def _check_no_class_is_empty(manifest: Manifest, splits: dict[str, Path], field: str) -> None:
    errors = []
    counts = manifest.summary()["counts"]
    for split, folder in splits.items():
        for label, name in enumerate(manifest.classes):
            if counts[split][label]:
                continue
            place = (folder / name).relative_to(manifest.root).as_posix()
            reasons = [s for s in manifest.skipped if f"{s.file}/".startswith(f"{place}/")]
            expected = "a class with at least one readable image; "
            if not reasons:
                expected += "it has none"
            elif len(reasons) == 1:
                expected += f"its only file was skipped ({reasons[0].reason})"
            else:
                expected += f"its {len(reasons):,} files were skipped (first: {reasons[0].reason})"
            errors.append(
                FieldError(
                    field,
                    place,
                    expected,
                    "Add images, or remove the class from every split.",
                )
            )
    if errors:
        raise InvalidInput.of(*errors[:PROBLEMS_SHOWN])


def looks_of(probes: Mapping[str, Probe | str]) -> dict[str, Look]:
    """Return what the usable images are compared by."""
    return {
        path: found.look
        for path, found in probes.items()
        if isinstance(found, Probe) and found.look is not None
    }


def probe_all(
    images: list[Found], report: Report | None, *, with_look: bool = False
) -> dict[str, Probe | str]:
    """Return what each image is, by path; decoding releases Python's lock, so threads help."""
    look = examine if with_look else probe
    results: dict[str, Probe | str] = {}
    said = 0.0
    with quiet_decoders(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            for image, result in zip(batch, pool.map(look, (i.file for i in batch)), strict=True):
                results[image.path] = result
                if report and (now := time.monotonic()) - said >= REPORT_EVERY_S:
                    said = now
                    report({"phase": "scan", "done": len(results), "total": len(images)})
    if report:
        report({"phase": "scan", "done": len(images), "total": len(images)})
    return results


def _names(names: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _refusal(field: str, value: str, expected: str, remedy: str = "") -> InvalidInput:
    return InvalidInput.of(FieldError(field, value, expected, remedy))
