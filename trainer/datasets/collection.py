"""A folder of images without classes, to be classified by trained models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from trainer.datasets.folder import Report, probe_all
from trainer.datasets.images import Probe
from trainer.datasets.listing import Listing
from trainer.datasets.manifest import NO_CLASS, UNSPLIT, Item, Manifest, content_fingerprint
from trainer.datasets.sizes import measures, spreads
from trainer.errors import FieldError, InvalidInput


def scan_collection(
    root: str | os.PathLike[str],
    name: str,
    *,
    extra_roots: Sequence[Path] = (),
    field: str = "source",
    source: str | None = None,
    report: Report | None = None,
) -> Manifest:
    """Return the manifest of all images in and below a folder; their folders mean nothing.

    Args:
        root: The folder; the items' paths are relative to it.
        name: The collection's name.
        extra_roots: Folders that links inside `root` may lead to, beside `root` itself.
        field: Name of the input field that refusals name.
        source: What refusals say came; by default the folder.
        report: Told `{"phase": "scan", "done": …, "total": …}` about twice a second.

    Raises:
        InvalidInput: If it is no folder, or none of its files is a readable image.
    """
    base = Path(root).resolve()
    shown = source or str(root)
    if not base.is_dir():
        raise InvalidInput.of(FieldError(field, shown, "an existing folder", "Check the spelling."))
    listing = Listing(base, [base, *(Path(extra).resolve() for extra in extra_roots)])
    found = list(listing.images(base, ""))
    probes = probe_all(found, report)
    items, rows = [], []
    for image in found:
        result = probes[image.path]
        if isinstance(result, str):
            listing.skip(image.path, result)
        else:
            items.append(Item(image.path, NO_CLASS))
            rows.append((UNSPLIT, image.path, "", result.sha256))
    if not items:
        why = f"; {listing.skipped[0].file}: {listing.skipped[0].reason}" if listing.skipped else ""
        raise InvalidInput.of(
            FieldError(field, shown, f"at least one readable image{why}", "Add images to it.")
        )
    readable = [result for result in probes.values() if isinstance(result, Probe)]
    return Manifest(
        name=name,
        root=str(base),
        classes=(),
        splits={UNSPLIT: tuple(sorted(items, key=lambda item: item.path))},
        skipped=tuple(sorted(listing.skipped, key=lambda skipped: skipped.file)),
        fingerprint=content_fingerprint(rows),
        sizes=spreads(readable),
        measures=measures(readable),
    )
