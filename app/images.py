"""The images of datasets and collections, as pages and the API list and show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from store.database import Store
from store.datasets import get_dataset, list_datasets
from store.rows import DatasetRow
from store.settings import Settings
from trainer.datasets.manifest import UNSPLIT, Item, Manifest, load_manifest
from trainer.errors import Conflict

THUMBNAIL_PX = 160


@dataclass(frozen=True)
class ListedImage:
    """An image of a dataset."""

    path: str
    """Its id within the dataset."""
    split: str
    label: int
    """Number of its class; -1 in a collection."""
    url: str
    """Of a small version."""


def check_ready(dataset: DatasetRow) -> None:
    """Check that a dataset's images can be used.

    Raises:
        Conflict: If it is not prepared.
    """
    if dataset.status != "ready":
        raise Conflict(
            f"The dataset `{dataset.name}` has no images yet: it is {dataset.status}.",
            "Its page shows how far the preparation is.",
        )


def ready_dataset(store: Store, name: str) -> DatasetRow:
    """Return a dataset whose images can be used.

    Raises:
        NotFound: If there is none of that name.
        Conflict: If it is not prepared.
    """
    dataset = get_dataset(store, name)
    check_ready(dataset)
    return dataset


def ready_manifest(settings: Settings, dataset: DatasetRow) -> Manifest:
    """Return the list of a dataset's images.

    Raises:
        Conflict: If it is not prepared.
        NotFound: If the list is gone.
    """
    check_ready(dataset)
    return load_manifest(settings.dataset_dir(dataset.id) / "manifest.json")


def image_url(dataset: DatasetRow, path: str, size_px: int = THUMBNAIL_PX) -> str:
    """Return the address of a small version of an image, cached for ever by its reader."""
    query = urlencode({"path": path, "size": size_px, "v": dataset.fingerprint[:16]})
    return f"/api/v1/datasets/{dataset.name}/image?{query}"


def list_collections(store: Store) -> list[DatasetRow]:
    """Return the collections of images without classes that are ready, by name."""
    return [row for row in list_datasets(store, labelled=False) if row.status == "ready"]


def collection_images(
    settings: Settings, collection: DatasetRow, *, limit: int, offset: int = 0
) -> tuple[list[ListedImage], int]:
    """Return some images of a collection by path, and how many it has.

    `ready_manifest(...).file(path)` is where an image lies.

    Raises:
        Conflict: If it is not prepared.
    """
    items = ready_manifest(settings, collection).splits.get(UNSPLIT, ())
    chosen = [(UNSPLIT, item) for item in items[offset : offset + limit]]
    return listed(collection, chosen), len(items)


def listed(dataset: DatasetRow, found: Sequence[tuple[str, Item]]) -> list[ListedImage]:
    """Return (split, item) pairs of a dataset as they are shown."""
    return [
        ListedImage(item.path, split, item.label, image_url(dataset, item.path))
        for split, item in found
    ]
