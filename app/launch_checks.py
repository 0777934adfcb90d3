"""What only the server can know of a spec before its launch: datasets, weight files, leaks."""

from __future__ import annotations

from pathlib import Path

from app.leaks import check_leaks
from store.database import Store
from store.datasets import get_dataset, list_datasets
from store.settings import Settings
from trainer.datasets.catalogue import catalogue_entries
from trainer.errors import FieldError, InvalidInput, NotFound, nearest
from trainer.spec import ExperimentSpec


def check_launch(store: Store, settings: Settings, spec: ExperimentSpec, *, may_leak: bool) -> None:
    """Check that a run can be launched here, and that none of its images leak where none may.

    Raises:
        InvalidInput: With an error for each field that is wrong.
    """
    check_spec(store, settings, spec)
    if not may_leak:
        check_leaks(store, settings, [spec])


def check_spec(store: Store, settings: Settings, spec: ExperimentSpec) -> None:
    """Check what depends on this server: the dataset and the weight file.

    Raises:
        InvalidInput: With an error for each field that is wrong.
    """
    found = (dataset_error(store, spec.dataset.name), _weights_error(settings, spec.model.weights))
    errors = [error for error in found if error is not None]
    if errors:
        raise InvalidInput.of(*errors)


def dataset_error(store: Store, name: str) -> FieldError | None:
    """Return why no run can be launched on a dataset; None where one can."""
    try:
        dataset = get_dataset(store, name)
    except NotFound:
        titles = catalogue_titles()
        if name in titles:
            return None
        rows = list_datasets(store, labelled=True)
        known = sorted({row.name for row in rows} | titles.keys())
        return FieldError(
            "dataset.name",
            name,
            "the name of a dataset on the Datasets page",
            nearest(name, known) or "Known here: " + ", ".join(known) + ".",
        )
    if not dataset.labelled:
        return FieldError(
            "dataset.name",
            name,
            "a dataset with classes; this is a collection of images without",
            "Train on a dataset of folders by class; trained runs can classify the collection.",
        )
    if dataset.status != "failed":
        return None
    error = dataset.error or {}
    reason = " ".join(filter(None, (error.get("detail"), error.get("remedy"))))
    return FieldError(
        "dataset.name",
        name,
        "a dataset whose preparation did not fail",
        f"{reason} Then add it again on the Datasets page.".strip(),
    )


def catalogue_titles() -> dict[str, str]:
    """Return the title of each dataset that is registered when it is first used."""
    return {entry.name: entry.title for entry in catalogue_entries()}


def _weights_error(settings: Settings, weights: str) -> FieldError | None:
    if weights in {"none", "default", "package"}:
        return None
    roots = ", ".join(str(root) for root in settings.data_roots)
    opened = (
        f"TUNEBOARD_DATA_ROOTS lists the folders that may be read: {roots}."
        if roots
        else "TUNEBOARD_DATA_ROOTS names the folders that may be read, and is not set."
    )
    given = Path(weights)
    try:
        file = given.resolve()
        inside = any(file.is_relative_to(root.resolve()) for root in settings.data_roots)
        # Whether a file exists is told only of those that may be read.
        if given.is_absolute() and inside and file.is_file():
            return None
    except (OSError, ValueError, RuntimeError):
        pass  # no path at all, such as one with a NUL or a loop of links
    return FieldError(
        "model.weights",
        weights,
        "none, default, package, or the absolute path of an existing file in an opened folder",
        opened,
    )
