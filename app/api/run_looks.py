"""What a run's evaluation shows beside its figures: images worth a look, and its calibration."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.api.compare_flips import GalleryOut, Page, gallery_out
from app.api.evaluated_images import SplitPath, images_version
from app.calibration import calibration
from app.dependencies import RunDep, SettingsDep, StoreDep
from app.looks import SEED_LIMIT, Look, look
from app.predictions import predictions
from store.evaluations import evaluation

router = APIRouter(tags=["runs"])


class BinOut(BaseModel):
    """The images whose likeliest class has a probability in (low, high]."""

    model_config = ConfigDict(from_attributes=True)

    low: float
    high: float
    images: int
    confidence: float | None = Field(description="Their mean probability; null without images.")
    accuracy: float | None = Field(description="Share of them that is right.")


class CalibrationOut(BaseModel):
    """How far a run's confidence can be believed."""

    model_config = ConfigDict(from_attributes=True)

    bins: list[BinOut] = Field(description="15 of equal width, rising.")
    images: int
    error: float = Field(description="Expected calibration error over the bins, in [0, 1].")
    confidence: float = Field(description="Mean probability of the likeliest class.")
    accuracy: float


@router.get("/runs/{run_id}/evaluations/{split}/looks")
def show_looks(
    store: StoreDep,
    settings: SettingsDep,
    run: RunDep,
    split: SplitPath,
    show: Annotated[
        Look,
        Query(
            description="mistakes: the most confident first. hits: right, the least certain first. "
            "random: one page, drawn by `seed`."
        ),
    ] = "mistakes",
    seed: Annotated[int, Query(ge=0, le=SEED_LIMIT)] = 0,
    page: Page = 1,
) -> GalleryOut:
    """List images of an evaluation that are worth a look."""
    row = evaluation(store, run.id, split)
    found = look(settings, row, show, page=page, seed=seed)
    return gallery_out(found, [row], images_version(store, run))


@router.get("/runs/{run_id}/evaluations/{split}/calibration")
def show_calibration(
    store: StoreDep, settings: SettingsDep, run: RunDep, split: SplitPath
) -> CalibrationOut:
    """Return the share of images that is right by the probability of the predicted class."""
    row = evaluation(store, run.id, split)
    return CalibrationOut.model_validate(calibration(predictions(settings, row)))
