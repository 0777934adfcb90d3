"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `final` at the end, or is removed if anything fails.

    `final` must not exist, or be empty.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        partial.chmod(0o755)
        yield partial
        os.replace(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def remove_folder(final: Path) -> None:
    """Remove the folder, and what an interrupted `new_folder` for it left beside it."""
    for stale in (final, *final.parent.glob(f".{final.name}-*")):
        shutil.rmtree(stale, ignore_errors=True)
