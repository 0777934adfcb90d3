"""Which images of a run's validation and test splits are among its training images too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.data_sections import DatasetSpec
from trainer.datasets.manifest import Manifest, samples_fingerprint
from trainer.datasets.splits import resolve_splits


@dataclass(frozen=True)
class Leak:
    """What of one split a run has seen in training."""

    places: frozenset[int]
    """Of the images in the split, from 0, in its order."""
    images: int
    """Of the split."""
    samples_fingerprint: str
    """Of the split; see `trainer.datasets.manifest.samples_fingerprint`."""


def find_leaks(manifest: Manifest, spec: DatasetSpec) -> Mapping[str, Leak]:
    """Return what leaks, by split: `val` and `test`, left out where nothing does.

    It depends on the spec's own cut: the same duplicates may lie in one split or in two.

    Raises:
        InvalidInput: If the dataset cannot be cut so.
    """
    if not manifest.duplicates:
        return {}
    splits = resolve_splits(manifest, spec)
    places = {
        item.path: (split, place)
        for split, items in splits.items()
        for place, item in enumerate(items)
    }
    leaked: dict[str, set[int]] = {}
    for group in manifest.duplicates:
        found = [places[path] for path in group.paths if path in places]
        if any(split == "train" for split, _ in found):
            for split, place in found:
                if split != "train":
                    leaked.setdefault(split, set()).add(place)
    return {
        split: Leak(
            frozenset(leaked[split]), len(splits[split]), samples_fingerprint(splits[split])
        )
        for split in ("val", "test")
        if split in leaked
    }
