"""How many images a spec trains on, validates and tests, told before it is launched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from app.images import ready_manifest
from store.database import Store
from store.datasets import get_dataset
from store.settings import Settings
from trainer.data_sections import DatasetSpec
from trainer.datasets.catalogue import catalogue_entries, catalogue_entry
from trainer.datasets.manifest import Item, Manifest
from trainer.datasets.splits import resolve_splits
from trainer.errors import NotFound, TuneboardError

SPLITS_KEPT = 64  # of datasets and ways to cut them; numbers only


@dataclass(frozen=True)
class Images:
    """Images by split, and how many classes there are."""

    train: int
    val: int
    test: int
    classes: int
    is_exact: bool
    """False where the dataset is not prepared yet and its catalogue entry says how many."""


def images_of(store: Store, settings: Settings, spec: DatasetSpec) -> Images | None:
    """Return the images of a spec's splits; None where nobody knows them yet.

    Raises:
        InvalidInput: If the dataset cannot be cut as the spec says.
    """
    manifest, is_exact = _manifest(store, settings, spec.name)
    if manifest is None:
        return None
    train, val, test = _sizes(_Source(manifest), spec)
    return Images(train, val, test, len(manifest.classes), is_exact)


def _manifest(store: Store, settings: Settings, name: str) -> tuple[Manifest | None, bool]:
    try:
        dataset = get_dataset(store, name)
        if not dataset.labelled:
            return None, False
        if dataset.status == "ready":
            return ready_manifest(settings, dataset), True
        source = dataset.source if dataset.kind == "catalogue" else ""
    except NotFound:
        source = name
    except TuneboardError:  # its files are gone; the Datasets page says so
        return None, False
    for entry in catalogue_entries():
        if entry.name == source:
            return _expected(entry.name), False
    return None, False


@lru_cache(maxsize=4)
def _expected(name: str) -> Manifest:
    """Return a stand-in for a dataset of the catalogue: its counts, spread over its classes."""
    entry = catalogue_entry(name)
    return Manifest(
        name=entry.name,
        root="/",
        classes=tuple(str(number) for number in range(entry.classes)),
        splits={
            split: tuple(
                Item(f"{split}/{number}", number % entry.classes) for number in range(count)
            )
            for split, count in entry.splits.items()
        },
        fingerprint=f"expected {entry.name}",
    )


@dataclass(frozen=True)
class _Source:
    """A manifest that is told from others by its fingerprint, so that results can be kept."""

    manifest: Manifest

    def __hash__(self) -> int:
        return hash(self.manifest.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and (
            self.manifest.fingerprint == other.manifest.fingerprint
        )


@lru_cache(SPLITS_KEPT)
def _sizes(source: _Source, spec: DatasetSpec) -> tuple[int, int, int]:
    found = resolve_splits(source.manifest, spec)
    return tuple(len(found.get(split, ())) for split in ("train", "val", "test"))  # type: ignore[return-value]
