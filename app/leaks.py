"""Whether a run is judged by images that it was trained on, and how right it is on the others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.predictions import PredictionsGone, predictions
from store.database import Store
from store.datasets import get_dataset
from store.rows import DatasetRow, EvaluationRow
from store.settings import Settings
from trainer.data_sections import DatasetSpec
from trainer.datasets.leaks import Leak, find_leaks
from trainer.datasets.manifest import load_manifest
from trainer.errors import FieldError, InvalidInput, TuneboardError
from trainer.spec import ExperimentSpec

FIELD = "acknowledge_leaks"
ACKNOWLEDGE_LEAKS = (
    "Launch though images that a run is judged by are among its training images, the same or "
    "nearly; kept with the runs."
)
SPLIT_NAMES = {"val": "validation", "test": "test"}
KEPT = 512  # cuts, and evaluations, of which is kept what leaks


@dataclass(frozen=True)
class Clean:
    """A run's accuracy on the images of a split that it was not trained on."""

    leaked: int
    """Images of the split that are among the training images too."""
    samples: int
    """The others."""
    accuracy: float | None
    """On the others, a fraction in [0, 1]; None where there are none."""


def leaks_of(settings: Settings, dataset: DatasetRow, spec: DatasetSpec) -> Mapping[str, Leak]:
    """Return what leaks, by split, if a dataset is cut so; see `find_leaks`.

    Nothing is known of one that is not ready, or in which nobody has looked for duplicates.

    Raises:
        InvalidInput: If it cannot be cut so.
        TuneboardError: If its list of images is gone.
    """
    duplicates = dataset.summary.get("duplicates") or {}
    if dataset.status != "ready" or not duplicates.get("groups"):
        return {}
    file = settings.dataset_dir(dataset.id) / "manifest.json"
    try:
        written = file.stat().st_mtime_ns
    except OSError:
        return {}
    return _leaks(os.fspath(file), written, spec.model_dump_json())


def check_leaks(store: Store, settings: Settings, specs: Sequence[ExperimentSpec]) -> None:
    """Check that no run would be judged by images that it is trained on.

    Of a dataset that is still to be prepared nothing is known: what leaks is shown with the run.

    Raises:
        InvalidInput: If one would; an error for each dataset and number of images.
    """
    found = {
        error.expected: error
        for cut in {spec.dataset.model_dump_json(): spec.dataset for spec in specs}.values()
        if (error := _leak_error(store, settings, cut)) is not None
    }
    if found:
        raise InvalidInput.of(*found.values())


def _leak_error(store: Store, settings: Settings, cut: DatasetSpec) -> FieldError | None:
    try:
        dataset = get_dataset(store, cut.name)
        found = leaks_of(settings, dataset, cut)
    except TuneboardError:
        return None  # said elsewhere, or by the run itself
    if not found:
        return None
    return FieldError(
        FIELD,
        False,
        f"true, as {in_words(found)} of `{dataset.name}` are among the training images too, the "
        "same or nearly, which makes an accuracy too good",
        f"Look at them at /datasets/{dataset.name}#duplicates. Choose splits that keep them "
        "together or remove them, or acknowledge it: the accuracy without them is shown beside.",
    )


def in_words(found: Mapping[str, Leak]) -> str:
    """Return how many images leak, such as `118 of 10,000 validation images`."""
    return " and ".join(
        f"{len(leak.places):,} of {leak.images:,} {SPLIT_NAMES[split]} images"
        for split, leak in found.items()
    )


def clean_accuracies(
    store: Store,
    settings: Settings,
    specs: Mapping[int, Mapping[str, Any]],
    rows: Sequence[EvaluationRow],
) -> dict[tuple[int, str], Clean]:
    """Return the accuracies without leaked images, by run and split, where images leaked.

    Args:
        specs: Of the runs, by their ids.
        rows: Their evaluations.
    """
    leaks = {run_id: _run_leaks(store, settings, spec) for run_id, spec in specs.items()}
    found = {}
    for row in rows:
        leak = leaks[row.run_id].get(row.split)
        without = None if leak is None else _without(settings, leak, row)
        if without is not None:
            found[row.run_id, row.split] = without
    return found


def _run_leaks(store: Store, settings: Settings, spec: Mapping[str, Any]) -> Mapping[str, Leak]:
    try:
        cut = DatasetSpec.model_validate(spec["dataset"])
        return leaks_of(settings, get_dataset(store, cut.name), cut)
    except (TuneboardError, ValueError):
        return {}  # the dataset is not here any more, or a script named one that never was


def _without(settings: Settings, leak: Leak, row: EvaluationRow) -> Clean | None:
    """Return an evaluation without leaked images; None where other images were evaluated."""
    if leak.samples_fingerprint != row.samples_fingerprint:
        return None
    key = (row.run_id, row.split, row.predictions_file, row.accuracy, hash(leak.places))
    found = _CLEAN.get(key)
    if found is None:
        try:
            right = predictions(settings, row).right
        except PredictionsGone:
            return None
        others = len(right) - len(leak.places)
        hits = sum(right) - sum(right[place] for place in leak.places)
        found = Clean(len(leak.places), others, hits / others if others else None)
        while len(_CLEAN) >= KEPT:
            _CLEAN.pop(next(iter(_CLEAN)), None)
        _CLEAN[key] = found
    return found


_CLEAN: dict[tuple[object, ...], Clean] = {}


@lru_cache(maxsize=KEPT)
def _leaks(file: str, _written: int, spec: str) -> Mapping[str, Leak]:
    return find_leaks(load_manifest(file), DatasetSpec.model_validate_json(spec))
