"""A dataset's end: what removing it would free, and removing it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from app.uploads import uploads_dir
from store.database import Store
from store.datasets import delete_dataset
from store.rows import DatasetRow
from store.settings import Settings


def freed_bytes(settings: Settings, dataset: DatasetRow) -> int:
    """Return how many bytes of disk removing a dataset frees: our copy, and its list of images.

    A folder on the server is its owner's: it stays, and is not counted.
    """
    archive = uploads_dir(settings) / dataset.source
    waiting = archive.stat().st_size if dataset.kind == "upload" and archive.is_file() else 0
    return waiting + _bytes_below(settings.dataset_dir(dataset.id))


def remove_dataset(store: Store, settings: Settings, name: str) -> DatasetRow:
    """Remove a dataset, our copy of its images, and its archive; return what it was.

    Raises:
        NotFound: If there is none of that name.
        Conflict: If live runs use it.
    """
    row = delete_dataset(store, name)
    shutil.rmtree(settings.dataset_dir(row.id), ignore_errors=True)
    if row.kind == "upload":
        (uploads_dir(settings) / row.source).unlink(missing_ok=True)
    return row


def _bytes_below(folder: Path) -> int:
    total, pending = 0, [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue  # it went away while we looked
    return total
