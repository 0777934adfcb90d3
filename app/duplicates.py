"""A dataset's duplicates as pages and the API list them, and the job that looks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.dependencies import Rings
from app.images import check_ready, image_url, ready_manifest
from store.database import Store
from store.jobs import create_job, newest_job
from store.rows import DatasetRow, JobRow
from store.settings import Settings
from trainer.datasets.duplicates_limits import NEAR_LIMIT, SMALLEST_PX
from trainer.datasets.manifest import NO_CLASS

Kind = Literal["all", "splits", "classes"]


@dataclass(frozen=True)
class Twin:
    """An image that is in a dataset more than once."""

    path: str
    split: str
    class_name: str
    image: str
    """Address of a small version."""


@dataclass(frozen=True)
class Twins:
    """Images that are the same, or nearly."""

    exact: bool
    images: tuple[Twin, ...]

    @property
    def across_splits(self) -> bool:
        """Whether they lie in more than one of the dataset's splits."""
        return len({one.split for one in self.images}) > 1

    @property
    def across_classes(self) -> bool:
        """Whether they are of more than one class."""
        return len({one.class_name for one in self.images}) > 1


@dataclass(frozen=True)
class Found:
    """Some of a dataset's groups of duplicates."""

    looked: bool
    """False where nobody has looked for them yet."""
    near: str
    """What near duplicates were looked for, in words."""
    groups: tuple[Twins, ...]
    total: int
    """Groups of the kind asked for."""


def find(
    settings: Settings, dataset: DatasetRow, kind: Kind = "all", limit: int = 24, offset: int = 0
) -> Found:
    """Return groups of duplicates: first those across splits, then those across classes.

    Args:
        kind: all, or only those across splits or across classes.

    Raises:
        Conflict: If the dataset is not prepared.
        NotFound: If its list of images is gone.
    """
    manifest = ready_manifest(settings, dataset)

    def twin(path: str) -> Twin:
        split, item = manifest.items[path]
        name = "" if item.label == NO_CLASS else manifest.classes[item.label]
        return Twin(path, split, name, image_url(dataset, path))

    groups = [
        Twins(group.exact, tuple(map(twin, group.paths))) for group in manifest.duplicates or ()
    ]
    if kind != "all":
        groups = [
            one for one in groups if (one.across_splits if kind == "splits" else one.across_classes)
        ]
    groups.sort(key=lambda one: (not one.across_splits, not one.across_classes))
    return Found(
        looked=manifest.duplicates is not None,
        near=_near(manifest.sizes.get("width"), manifest.sizes.get("height"), len(manifest.items)),
        groups=tuple(groups[offset : offset + limit]),
        total=len(groups),
    )


def look(store: Store, bell: Rings, dataset: DatasetRow, owner: str) -> JobRow:
    """Queue the job that looks for duplicates, and return it; the one that is under way, if any.

    Raises:
        Conflict: If the dataset is not prepared.
    """
    check_ready(dataset)
    job = newest_job(store, "duplicates", dataset.id)
    if job is None or job.is_over:
        asked = {"dataset": dataset.name}
        job = create_job(store, "duplicates", owner, asked, dataset_id=dataset.id)
        bell.ring_interactive()
    return job


def _near(width: object, height: object, images: int) -> str:
    sides: Sequence[int] = [
        side for spread in (width, height) for side in (getattr(spread, "max", SMALLEST_PX),)
    ]
    if images > NEAR_LIMIT:
        return f"Only exact ones were looked for: there are more than {NEAR_LIMIT:,} images."
    if min(sides) < SMALLEST_PX:
        return (
            f"Only exact ones were looked for: images below {SMALLEST_PX} px all look alike when "
            "made smaller."
        )
    return "Exact and near ones were looked for."
