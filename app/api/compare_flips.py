"""Which images one run gets right and another does not; which images a confusion cell holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.api.compare_verdict import SplitQuery
from app.api.evaluated_images import SplitPath, evaluated_image_url, images_version
from app.dependencies import RunDep, SettingsDep, StoreDep
from app.flips import Flips, Gallery, Kind, cell, flips
from app.splits import pair_of_evaluations
from store.evaluations import evaluation
from store.rows import EvaluationRow
from store.runs import get_run
from store.values import ID_LIMIT

router = APIRouter(tags=["compare"])

Page = Annotated[int, Query(ge=1, le=ID_LIMIT, description="From 1; 24 images each.")]


class SaidOut(BaseModel):
    """What a run said of an image."""

    run: int
    predicted: str = Field(description="The likeliest class.")
    probability: float = Field(description="Of that class.")
    probability_of_label: float


class ImageOut(BaseModel):
    """An image and what the runs said of it."""

    index: int = Field(description="Place in the split, from 0.")
    id: str = Field(description="Path below the dataset's folder.")
    label: str
    image: str = Field(description="Address of a small version.")
    said: list[SaidOut]


class GalleryOut(BaseModel):
    """A page of images."""

    images: list[ImageOut]
    total: int
    page: int
    pages: int


class FlipsOut(GalleryOut):
    """A page of the images of one kind, and how many there are of each."""

    fixed: int = Field(description="Only the second run is right.")
    broken: int = Field(description="Only the first run is right.")
    both_wrong: int
    by_class: dict[str, int] = Field(description="Class → images of the kind asked for.")


@router.get("/compare/flips")
def show_flips(
    store: StoreDep,
    settings: SettingsDep,
    run: Annotated[
        list[Annotated[int, Query(ge=1, le=ID_LIMIT)]],
        Query(min_length=2, max_length=2, description="The baseline and the other run."),
    ],
    kind: Kind = "fixed",
    label: Annotated[
        int | None, Query(alias="class", ge=0, le=ID_LIMIT, description="Number of a class.")
    ] = None,
    page: Page = 1,
    split: SplitQuery = None,
) -> FlipsOut:
    """List images that one of two runs gets right, or neither, with what both said of them."""
    pair = pair_of_evaluations(store, run[0], run[1], split)
    found = flips(settings, *pair, kind, label, page)
    return _flips_out(found, pair, images_version(store, get_run(store, run[0])))


@router.get("/runs/{run_id}/evaluations/{split}/cells")
def show_cell(
    store: StoreDep,
    settings: SettingsDep,
    run: RunDep,
    split: SplitPath,
    true: Annotated[int, Query(ge=0, le=ID_LIMIT, description="Number of the true class.")],
    predicted: Annotated[int, Query(ge=0, le=ID_LIMIT, description="Of the predicted class.")],
    page: Page = 1,
) -> GalleryOut:
    """List the images in a cell of a run's confusion matrix."""
    row = evaluation(store, run.id, split)
    found = cell(settings, row, true, predicted, page)
    return gallery_out(found, [row], images_version(store, run))


def _flips_out(found: Flips, pair: Sequence[EvaluationRow], version: str) -> FlipsOut:
    names = [one["name"] for one in pair[0].classes]
    return FlipsOut(
        **gallery_out(found.gallery, pair, version).model_dump(),
        **found.counts,
        by_class={names[label]: count for label, count in found.by_class.items()},
    )


def gallery_out(found: Gallery, rows: Sequence[EvaluationRow], version: str) -> GalleryOut:
    """Return a page of images as JSON.

    Args:
        rows: The evaluations that spoke, in the order of what they said.
        version: Of the images; see `images_version`.
    """
    names = [one["name"] for one in rows[0].classes]
    run_id, split = rows[0].run_id, rows[0].split
    return GalleryOut(
        images=[
            ImageOut(
                index=one.index,
                id=one.id,
                label=names[one.label],
                image=evaluated_image_url(run_id, split, one.index, version),
                said=[
                    SaidOut(
                        run=row.run_id,
                        predicted=names[said.predicted],
                        probability=said.probabilities[said.predicted],
                        probability_of_label=said.probabilities[one.label],
                    )
                    for row, said in zip(rows, one.said, strict=True)
                ],
            )
            for one in found.images
        ],
        total=found.total,
        page=found.page,
        pages=found.pages,
    )
