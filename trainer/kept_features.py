"""What frozen backbones made of a dataset's images, on disk for the runs that follow.

One file for each list of images, plain or mirrored, under a name made of all that determines the
numbers in it, so that a run that reads a file goes on as if it had computed it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trainer.datasets.manifest import Item, samples_fingerprint

_LOG = logging.getLogger(__name__)

FOLDER = "features"
"""Beside the dataset's manifest, so that it goes when the dataset does."""
LIMIT_BYTES = 2 * 1024**3
"""Of one dataset's folder; the files used longest ago make room."""
FORMAT = 1  # raised when the same key would stand for other numbers


@dataclass(frozen=True)
class KeptFeatures:
    """The features that runs of one backbone, input format and machine can share."""

    folder: Path
    determined_by: Mapping[str, Any]
    """As JSON: everything but the images' names and whether they are mirrored."""

    def find(
        self, items: Iterable[Item], *, mirrored: bool, device: torch.device
    ) -> tuple[Tensor, float] | None:
        """Return what the head takes for all images, [N, …] on the device, and its cost.

        The cost is the seconds that an earlier run took to compute it. None where no run has, or
        where its file cannot be read.
        """
        path = self._path(items, mirrored=mirrored)
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                features, cost_s = file.get_tensor("features"), float(file.metadata()["cost_s"])
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            _LOG.warning("%s cannot be read and is computed again", path, exc_info=True)
            return None
        return features, cost_s

    def keep(
        self, items: Iterable[Item], features: Tensor, cost_s: float, *, mirrored: bool
    ) -> None:
        """Write what `find` will return; a folder that takes no file only costs later runs time."""
        if features.nbytes > LIMIT_BYTES:
            return
        path = self._path(items, mirrored=mirrored)
        partial = path.with_name(f"{uuid.uuid4().hex}.part")  # others may write the same file
        try:
            self.folder.mkdir(exist_ok=True)
            self._make_room(features.nbytes)
            save_file({"features": features}, partial, {"cost_s": f"{cost_s:.3f}"})
            os.replace(partial, path)
        except (OSError, SafetensorError):
            _LOG.warning("%s could not be written", path, exc_info=True)
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _path(self, items: Iterable[Item], *, mirrored: bool) -> Path:
        key = {
            **self.determined_by,
            "format": FORMAT,
            "samples": samples_fingerprint(items),
            "mirrored": mirrored,
        }
        name = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16)
        return self.folder / f"{name.hexdigest()}.safetensors"

    def _make_room(self, needed: int) -> None:
        found = [(path, path.stat()) for path in self.folder.iterdir()]
        total = sum(status.st_size for _, status in found)
        for path, status in sorted(found, key=lambda one: one[1].st_mtime):
            if total + needed <= LIMIT_BYTES:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size
