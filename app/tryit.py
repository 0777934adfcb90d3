"""What is asked of a trained model, for one image or many, as a job of the interactive worker.

One image comes with the request, or is one of the run's evaluation by its place in it, or is that
of an earlier job: whoever has classified one need not send it again for Grad-CAM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.bodies import model_of
from app.uploads import Pictures
from store.database import Store
from store.evaluations import evaluation
from store.jobs import Hand, create_job, get_job
from store.rows import JobRow, RunRow
from store.values import ID_LIMIT
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

TRY_KINDS = ("classify", "gradcam", "features")
"""Kinds of jobs that are about one image."""
NAME_LIMIT = 200  # characters of a class's or a module's name


class ImageIn(BaseModel):
    """An image that is here already: of the run's evaluation, or of an earlier job."""

    model_config = ConfigDict(extra="forbid")

    split: Literal["val", "test"] = "val"
    index: Annotated[int, Field(ge=0, le=ID_LIMIT)] | None = Field(
        None, description="Place in the split, from 0."
    )
    job: Annotated[int, Field(ge=1, le=ID_LIMIT)] | None = Field(
        None, description="A job of the last day that was about an uploaded image."
    )

    @model_validator(mode="after")
    def _check_one(self) -> ImageIn:
        if (self.index is None) == (self.job is None):
            raise ValueError("either `index` or `job`")
        return self


class ClassifyIn(BaseModel):
    """What to classify; the image is left out where it comes with the request."""

    model_config = ConfigDict(extra="forbid")

    image: ImageIn | None = None


class GradcamIn(ClassifyIn):
    """What to explain."""

    class_: str | None = Field(
        None,
        alias="class",
        max_length=NAME_LIMIT,
        description="Name of the class; the predicted one where left out.",
    )


class FeaturesIn(ClassifyIn):
    """Which feature maps to show."""

    module: str = Field(
        min_length=1, max_length=NAME_LIMIT, description="Dotted name.", examples=["layer1"]
    )
    page: int = Field(1, ge=1, le=ID_LIMIT, description="Of 64 maps each.")
    columns: int = Field(8, ge=1, le=16, description="Maps in a row of the picture.")


ASKED: Mapping[str, type[ClassifyIn]] = {
    "classify": ClassifyIn,
    "gradcam": GradcamIn,
    "features": FeaturesIn,
}


def asked_for(kind: str, document: object) -> ClassifyIn:
    """Return what a document asks for.

    Raises:
        InvalidInput: If it is not of the kind's shape.
    """
    return model_of(ASKED[kind], document)


def try_it(
    store: Store, run: RunRow, owner: str, kind: str, asked: ClassifyIn, sent: Pictures | None
) -> JobRow:
    """Queue what was asked for and return the job; its caller rings.

    Args:
        kind: One of `TRY_KINDS`.
        sent: The image that came with the request, if one did.

    Raises:
        InvalidInput: If there is no image, or two, or none of that place.
        NotFound: If the earlier job, or the evaluation, is not there.
        Conflict: If the run has no trained model, or the earlier job no image.
    """
    check_trained(run)
    payload = asked.model_dump(by_alias=True, exclude_none=True, exclude={"image"})
    if kind != "features":
        payload["file"] = f"run-{run.id}-classes.csv"
    if sent is not None:
        if len(sent.names) > 1 or asked.image is not None:
            expected = "one image; several are classified by `predictions`"
            raise InvalidInput.of(FieldError("file", list(sent.names[:3]), expected))
        payload |= {"inputs": sent.inputs, "image": {"name": sent.names[0]}}
    elif asked.image is None:
        raise InvalidInput.of(FieldError("image", None, "an image that is sent, or that is here"))
    else:
        payload["image"] = _known_image(store, run, asked.image)
    return create_job(store, kind, owner, payload, run.id)


def predict_many(store: Store, run: RunRow, owner: str, images: Mapping[str, str]) -> JobRow:
    """Queue a table of many images and return the job; its caller rings.

    Args:
        images: Where they are: `inputs` that were sent, or a `folder` or `dataset` of the server.

    Raises:
        Conflict: If the run has no trained model.
    """
    check_trained(run)
    asked = {"file": f"run-{run.id}-predictions.csv", **images}
    # What lies on the server may be any number: it must not hold up whoever sent a few.
    hand: Hand | None = None if "inputs" in images else "long"
    return create_job(store, "predict", owner, asked, run.id, hand=hand)


def check_trained(run: RunRow) -> None:
    """Check that the run's trained model is here.

    Raises:
        Conflict: If it is not.
    """
    if run.external:
        raise Conflict(f"Run {run.id} was reported by a script: its model is not here.")
    if run.status != "succeeded":
        raise Conflict(
            f"Run {run.id} is {run.status}: only a run that succeeded has a trained model.",
            "" if run.is_terminal else "Wait for its end.",
        )


def _known_image(store: Store, run: RunRow, image: ImageIn) -> dict[str, Any]:
    if image.index is not None:
        samples = evaluation(store, run.id, image.split).samples
        if image.index >= samples:
            expected = f"the place of one of {samples} {image.split} images, 0 to {samples - 1}"
            raise InvalidInput.of(FieldError("image.index", image.index, expected))
        return {"split": image.split, "index": image.index}
    job = get_job(store, image.job or 0)
    if job.kind not in TRY_KINDS:
        raise NotFound(f"Job {job.id} is not about an uploaded image.", "Send the image.")
    known: dict[str, Any] = job.payload["image"]
    # The image of an image's job is that of the first.
    return known if "name" not in known or "job" in known else {**known, "job": job.id}
