"""What a cut of a dataset would give: images per class and split, without copying anything.

The same function that cuts a run's images counts them here, so what is shown is what a run gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from app.bodies import model_of
from trainer.data_sections import DatasetSpec
from trainer.datasets.manifest import Manifest, samples_fingerprint
from trainer.datasets.splits import resolve_splits
from trainer.errors import FieldError, InvalidInput

CUT_FIELDS = (
    "train_split",
    "validation_split",
    "test_split",
    "validation_fraction",
    "validation_count",
    "test_fraction",
    "test_count",
    "train_count",
    "rest",
    "split_seed",
)
"""The spec's fields that decide which image goes where."""


@dataclass(frozen=True)
class Cut:
    """Which images would be trained, validated and tested on."""

    spec: DatasetSpec
    counts: Mapping[str, tuple[int, ...]]
    """Split → images of each class."""
    fingerprints: Mapping[str, str]
    """Split → hash of its images: equal for runs that can be compared image by image."""

    @property
    def totals(self) -> dict[str, int]:
        """Images per split."""
        return {split: sum(numbers) for split, numbers in self.counts.items()}

    @property
    def launch_query(self) -> str:
        """What the launch form's address says to be filled with this cut."""
        chosen = self.spec.model_dump(include=set(CUT_FIELDS), exclude_defaults=True)
        fields = {f"dataset.{name}": value for name, value in chosen.items() if value is not None}
        return urlencode({"dataset": self.spec.name, **fields})


def cut_of(manifest: Manifest, name: str, values: Mapping[str, Any]) -> Cut:
    """Return what the cut gives.

    Args:
        name: The dataset's name as specs say it.
        values: Some of `CUT_FIELDS`, perhaps as text; empty text leaves the spec's default.

    Raises:
        InvalidInput: If a value is wrong, or the dataset cannot be cut so; fields are named
            without `dataset.` before them.
    """
    given = {key: values[key] for key in CUT_FIELDS if values.get(key) not in {None, ""}}
    spec = model_of(DatasetSpec, {"name": name, **given})
    if not manifest.classes:
        raise InvalidInput.of(
            FieldError("name", name, "a dataset with classes", "A collection is not cut.")
        )
    try:
        splits = resolve_splits(manifest, spec)
    except InvalidInput as error:
        raise InvalidInput.of(*(_bare(item) for item in error.errors)) from error
    counts = {split: [0] * len(manifest.classes) for split in splits}
    for split, items in splits.items():
        for item in items:
            counts[split][item.label] += 1
    return Cut(
        spec=spec,
        counts={split: tuple(numbers) for split, numbers in counts.items()},
        fingerprints={split: samples_fingerprint(items) for split, items in splits.items()},
    )


def _bare(error: FieldError) -> FieldError:
    field = error.field.removeprefix("dataset.")
    return FieldError(field, error.value, error.expected, error.remedy)
