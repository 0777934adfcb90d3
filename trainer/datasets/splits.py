"""Which images a run trains on, validates on and is tested on.

The spec names which of a dataset's own splits serve as what; left alone, a dataset's own splits
win. What is missing is cut from the training images, class by class: each class is ordered by a
hash of (seed, class, path), and the first images go to validation, the next to test, the next are
trained on. So the choice depends on nothing but the seed and the class's own files; with shares, a
file more or less in one class leaves every other class alone and moves at most one image across
each border of its own. Fixed counts are spread over the classes in proportion to their images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from trainer.data_sections import DatasetSpec
from trainer.datasets.manifest import Item, Manifest
from trainer.errors import FieldError, InvalidInput

PROBLEMS_SHOWN = 10

_Classes = list[list[Item]]
"""Items by class, each class in the order of its hashes."""


def resolve_splits(manifest: Manifest, spec: DatasetSpec) -> dict[str, tuple[Item, ...]]:
    """Return the items of `train`, `val` and, where there is one, `test`, sorted by path.

    Shares are rounded per class to the nearest image, but no class is left without an image in
    any split.

    Raises:
        InvalidInput: If a named split is missing, or a class has too few images for its splits.
    """
    trained = spec.train_split.split("+")
    for split in trained:
        _own(manifest, split, "train_split", spec.train_split)
    own_val, own_test = _own_splits(manifest, spec, trained)
    pool = _by_class(manifest, spec, [item for split in trained for item in manifest.splits[split]])

    by_rest = spec.rest == "validation"
    cut: dict[str, float | int] = {}
    if own_val is None and not by_rest:
        count = spec.validation_count
        cut["val"] = spec.validation_fraction if count is None else count
    if own_test is None and spec.test_split != "none":
        if spec.test_count is not None:
            cut["test"] = spec.test_count
        elif spec.test_fraction > 0:
            cut["test"] = spec.test_fraction
    chosen: dict[str, list[Item]] = {}
    if own_val is not None:
        chosen["val"] = _some(manifest, spec, own_val, "validation_count")
    if own_test is not None:
        chosen["test"] = _some(manifest, spec, own_test, "test_count")
    _check_enough(manifest, pool, list(cut))
    chosen.update(_cut(manifest, pool, cut))
    if spec.train_count is None:
        chosen["train"] = [item for items in pool for item in items]
    else:
        chosen["train"] = _take(manifest, pool, spec.train_count, "train_count", leave=by_rest)
        if by_rest:
            chosen["val"] = [item for items in pool for item in items]
    return {
        split: tuple(sorted(chosen[split], key=lambda item: item.path))
        for split in ("train", "val", "test")
        if split in chosen
    }


def _own_splits(
    manifest: Manifest, spec: DatasetSpec, trained: Sequence[str]
) -> tuple[str | None, str | None]:
    """Return the dataset's splits to validate and to test on; None where images are cut."""

    def free(split: str) -> str | None:
        return split if split not in trained and manifest.splits.get(split) else None

    val, test = spec.validation_split, spec.test_split
    own_val: str | None = None
    if val == "auto" and spec.rest == "unused":
        own_val = None if test == "val" else free("val")
    elif val in {"val", "test"}:
        own_val = _own(manifest, val, "validation_split", val)
    own_test: str | None = None
    if test == "auto":
        own_test = None if own_val == "test" else free("test")
    elif test in {"val", "test"}:
        own_test = _own(manifest, test, "test_split", test)
    return own_val, own_test


def _own(manifest: Manifest, split: str, field: str, value: str) -> str:
    if manifest.splits.get(split):
        return split
    brings = ", ".join(name for name, items in manifest.splits.items() if items)
    raise InvalidInput.of(
        FieldError(
            f"dataset.{field}",
            value,
            f"a split of `{manifest.name}`, which brings {brings}",
            "Choose one of these, or let images be cut from the training images.",
        )
    )


def _by_class(manifest: Manifest, spec: DatasetSpec, items: Sequence[Item]) -> _Classes:
    classes: _Classes = [[] for _ in manifest.classes]
    for item in items:
        classes[item.label].append(item)
    for name, own in zip(manifest.classes, classes, strict=True):
        own.sort(key=lambda item: _rank(spec.split_seed, name, item.path))
    return classes


def _some(manifest: Manifest, spec: DatasetSpec, split: str, field: str) -> list[Item]:
    """Return all of a split of the dataset, or as many images of it as the spec says."""
    items = list(manifest.splits[split])
    count: int | None = getattr(spec, field)
    if count is None:
        return items
    return _take(manifest, _by_class(manifest, spec, items), count, field, leave=False)


def _cut(
    manifest: Manifest, pool: _Classes, wanted: dict[str, float | int]
) -> dict[str, list[Item]]:
    """Move images from the front of every class of `pool` to the wanted splits, in their order."""
    cut: dict[str, list[Item]] = {split: [] for split in wanted}
    fractions = {split: part for split, part in wanted.items() if isinstance(part, float)}
    shares = [_shares(len(items), fractions, len(wanted)) for items in pool]
    for split, part in wanted.items():
        if isinstance(part, float):
            for items, own in zip(pool, shares, strict=True):
                cut[split] += items[: own[split]]
                del items[: own[split]]
        else:
            field = "validation_count" if split == "val" else "test_count"
            cut[split] = _take(manifest, pool, part, field, leave=True)
    return cut


def _take(manifest: Manifest, pool: _Classes, count: int, field: str, *, leave: bool) -> list[Item]:
    """Move `count` images out of `pool`, in proportion to its classes, at least one of each.

    Args:
        manifest: Names the classes that are too small.
        pool: Loses the images.
        count: How many.
        field: Of the spec, for refusals.
        leave: Whether every class must keep an image.

    Raises:
        InvalidInput: If that many cannot be taken.
    """
    limits = [len(items) - leave for items in pool]
    total = sum(limits)
    if count > total or count < len(pool) or min(limits) < 1:
        raise InvalidInput.of(
            FieldError(
                f"dataset.{field}",
                count,
                f"between {len(pool)}, one for each class, and {total}, what "
                f"`{manifest.name}` has left for it"
                if min(limits) >= 1
                else "left out, as there are classes without an image to give",
                "",
            )
        )
    taken: list[Item] = []
    for items, number in zip(pool, _spread(count, limits), strict=True):
        taken += items[:number]
        del items[:number]
    return taken


def _spread(count: int, limits: Sequence[int]) -> list[int]:
    """Return how many of `count` each class gives: in proportion, at least 1, at most its limit.

    The largest remainders are rounded up; among equal ones the earlier class's.
    """
    total = sum(limits)
    numbers = [max(1, count * limit // total) for limit in limits]
    by_remainder = sorted(range(len(limits)), key=lambda i: (-(count * limits[i] % total), i))
    while sum(numbers) < count:
        for index in by_remainder:
            if sum(numbers) < count and numbers[index] < limits[index]:
                numbers[index] += 1
    while sum(numbers) > count:  # classes raised to one image are paid for by the largest
        numbers[max(range(len(numbers)), key=lambda i: (numbers[i], -i))] -= 1
    return numbers


def _check_enough(manifest: Manifest, pool: _Classes, cut: list[str]) -> None:
    """Refuse classes that cannot give every split an image."""
    needed = 1 + len(cut)
    small = [
        (name, len(items))
        for name, items in zip(manifest.classes, pool, strict=True)
        if len(items) < needed
    ]
    if not small:
        return
    field = "dataset.test_fraction" if cut == ["test"] else "dataset.validation_fraction"
    without = " and ".join({"val": "validation", "test": "test"}[split] for split in cut)
    raise InvalidInput.of(
        *(
            FieldError(
                field,
                f"{name}: {count} image{'' if count == 1 else 's'}",
                f"a share of classes with at least {needed} images each"
                if cut
                else "a share of classes that have training images",
                f"Add images to `{name}`, or give the dataset its own {without} split."
                if cut
                else f"Add images to `{name}`.",
            )
            for name, count in small[:PROBLEMS_SHOWN]
        )
    )


def _shares(count: int, fractions: dict[str, float], splits: int) -> dict[str, int]:
    """Return how many of `count` images each share is; all `splits` and training get one."""
    shares = {split: max(1, int(count * share + 0.5)) for split, share in fractions.items()}
    others = splits - len(fractions)
    while sum(shares.values()) >= count - others and max(shares.values(), default=1) > 1:
        shares[max(shares, key=lambda split: shares[split])] -= 1
    return shares


def _rank(seed: int, class_name: str, path: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{class_name}\0{path}".encode()).digest()
