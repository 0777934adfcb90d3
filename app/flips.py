"""Images that two runs, or one, got right or wrong: which they are and what was said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.predictions import Opinion, Predictions, opinions, predictions
from store.rows import EvaluationRow
from store.settings import Settings
from trainer.errors import Conflict, FieldError, InvalidInput

Kind = Literal["fixed", "broken", "both_wrong"]
KINDS: tuple[Kind, ...] = ("fixed", "broken", "both_wrong")
PAGE_SIZE = 24


@dataclass(frozen=True)
class Shown:
    """An image and what each run said of it, in the runs' order."""

    index: int
    id: str
    label: int
    said: tuple[Opinion, ...]


@dataclass(frozen=True)
class Gallery:
    """A page of the images asked for."""

    images: tuple[Shown, ...]
    total: int
    """Images asked for, on all pages."""
    page: int
    """From 1."""

    @property
    def pages(self) -> int:
        """Number of pages, at least one."""
        return max(1, -(-self.total // PAGE_SIZE))

    @property
    def first(self) -> int:
        """Place of the page's first image among all, from 1."""
        return (self.page - 1) * PAGE_SIZE + 1


@dataclass(frozen=True)
class Flips:
    """How two runs differ on the images of a split."""

    counts: dict[Kind, int]
    by_class: dict[int, int]
    """Class → images of the kind asked for; classes without any are left out."""
    gallery: Gallery


def flips(
    settings: Settings,
    baseline: EvaluationRow,
    other: EvaluationRow,
    kind: Kind,
    label: int | None = None,
    page: int = 1,
) -> Flips:
    """Return a page of the images of one kind, in the split's order.

    Args:
        label: Only images of this class.
        page: From 1; one past the end is the last.

    Raises:
        Conflict: If the two were evaluated on different images.
        PredictionsGone: If the predictions of one are not here.
        InvalidInput: If there is no such class.
    """
    check_same_images(baseline, other)
    if label is not None:
        check_class("class", label, baseline)
    first, second = predictions(settings, baseline), predictions(settings, other)
    places = {one: flip_places(first, second, one) for one in KINDS}
    found = places[kind]
    by_class = Counter(first.labels[index] for index in found)
    if label is not None:
        found = [index for index in found if first.labels[index] == label]
    return Flips(
        counts={one: len(places[one]) for one in KINDS},
        by_class=dict(sorted(by_class.items())),
        gallery=gallery(settings, [baseline, other], found, page),
    )


def cell(
    settings: Settings, row: EvaluationRow, true: int, predicted: int, page: int = 1
) -> Gallery:
    """Return a page of the images in one cell of a run's confusion matrix.

    Raises:
        PredictionsGone: If the predictions are not here.
        InvalidInput: If there is no such cell.
    """
    check_class("cell", true, row)
    check_class("cell", predicted, row)
    found = predictions(settings, row)
    places = [
        index
        for index, pair in enumerate(zip(found.labels, found.predicted, strict=True))
        if pair == (true, predicted)
    ]
    return gallery(settings, [row], places, page)


def changed_cell(
    settings: Settings,
    baseline: EvaluationRow,
    other: EvaluationRow,
    true: int,
    predicted: int,
    page: int = 1,
) -> Gallery:
    """Return a page of the images that are in that cell for just one of two runs.

    Raises:
        Conflict: If the two were evaluated on different images.
        PredictionsGone: If the predictions of one are not here.
        InvalidInput: If there is no such cell.
    """
    check_same_images(baseline, other)
    check_class("cell", true, baseline)
    check_class("cell", predicted, baseline)
    first, second = predictions(settings, baseline), predictions(settings, other)
    triples = zip(first.labels, first.predicted, second.predicted, strict=True)
    places = [
        index
        for index, (label, before, after) in enumerate(triples)
        if label == true and (before == predicted) != (after == predicted)
    ]
    return gallery(settings, [baseline, other], places, page)


def flip_places(first: Predictions, second: Predictions, kind: Kind) -> list[int]:
    """Return the places of the images of that kind, in order."""
    wanted = {"fixed": (0, 1), "broken": (1, 0), "both_wrong": (0, 0)}[kind]
    pairs = zip(first.right, second.right, strict=True)
    return [index for index, pair in enumerate(pairs) if pair == wanted]


def gallery(
    settings: Settings, rows: Sequence[EvaluationRow], places: Sequence[int], page: int
) -> Gallery:
    """Return a page of the images at those places, with what every run said of them."""
    pages = max(1, -(-len(places) // PAGE_SIZE))
    page = min(page, pages)
    chosen = places[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    said = [opinions(settings, row, chosen) for row in rows]
    return Gallery(
        tuple(Shown(of[0].index, of[0].id, of[0].label, of) for of in zip(*said, strict=True)),
        len(places),
        page,
    )


def check_same_images(first: EvaluationRow, second: EvaluationRow) -> None:
    """Check that two evaluations saw the same images and classes.

    Raises:
        Conflict: If they did not.
    """
    names = [[one["name"] for one in row.classes] for row in (first, second)]
    if first.samples_fingerprint != second.samples_fingerprint or names[0] != names[1]:
        raise Conflict(
            f"Runs {first.run_id} and {second.run_id} were evaluated on different "
            f"{first.split} images.",
            "Compare runs that share dataset, split shares and split seed.",
        )


def check_class(field: str, label: int, row: EvaluationRow) -> None:
    """Check that an evaluation has a class of that number.

    Raises:
        InvalidInput: If it has not.
    """
    if not 0 <= label < len(row.classes):
        raise InvalidInput.of(
            FieldError(field, label, f"the number of a class, less than {len(row.classes)}")
        )
