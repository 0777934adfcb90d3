"""What a spec would come to, told before it is launched: the page, the API and the CLI share it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.spec_images import Images, images_of
from app.spec_queue import QueueOut, queue_of
from app.spec_time import TimeEstimate, Work, estimate_time
from store.database import Store
from store.outlook import Outlook, outlook
from store.settings import Settings
from store.timings import Timing, timings
from trainer import catalogue
from trainer.errors import InvalidInput
from trainer.parameters import ParameterCounts, count_parameters
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec

LONG_S = 600.0
"""A run expected to take longer is worth a preflight, which takes about a minute."""
LIKENESS = {
    "same": "like it",
    "similar": "of the same network, freezing and input size",
    "rough": "of the same network at another input size or freezing, scaled by pixels",
}


class ImagesOut(BaseModel):
    """Images by split."""

    train: int
    val: int
    test: int
    classes: int
    exact: bool = Field(
        description="False: the dataset is not prepared yet; as its catalogue says."
    )


class ParametersOut(BaseModel):
    """Numbers in the network's parameters."""

    total: int
    trained: int = Field(description="From the first step on.")
    trained_at_last: int = Field(description="Once every stage of unfreezing has begun.")
    exact: bool


class StepsOut(BaseModel):
    """Moves of the weights."""

    per_epoch: int
    total: int = Field(description="Early stopping may end it sooner.")
    images: int = Field(description="Images of one step.")


class CachedOut(BaseModel):
    """What is computed once and kept."""

    versions: int = Field(
        description="Versions of each training image whose features are kept; 0: the whole network "
        "runs in every step."
    )
    passes: int = Field(description="Images that go through the frozen backbone once.")
    text: str


class TimeOut(BaseModel):
    """Expected seconds, by what runs measured on this installation."""

    epoch_s: float
    total_s: float
    low_s: float = Field(description="Total by the fastest of the runs.")
    high_s: float = Field(description="Total by the slowest of them.")
    likeness: Literal["same", "similar", "rough"]
    runs: list[int]
    text: str


class SpecSummary(BaseModel):
    """What is known of a run before it begins; null where nobody knows."""

    name: str = Field(description="What the run will be called.", examples=["resnet18 frozen"])
    images: ImagesOut | None
    parameters: ParametersOut | None
    steps: StepsOut | None
    cached: CachedOut
    time: TimeOut | None
    time_unknown: str = Field(description="Why there is no time; empty where there is one.")
    preflight: str = Field(
        description="Why to take two real steps of it first; empty where that is not worth it."
    )
    queue: QueueOut
    ends_at: float | None = Field(description="Unix seconds at which it may have ended.")

    @property
    def is_long(self) -> bool:
        """Whether it is expected to take long, by what was measured here."""
        return self.time is not None and self.time.total_s > LONG_S


def summarize(
    store: Store, settings: Settings, spec: ExperimentSpec, priority: int = 0
) -> SpecSummary:
    """Return what a valid spec would come to on this installation.

    Raises:
        InvalidInput: If the dataset cannot be cut as the spec says.
    """
    images = images_of(store, settings, spec.dataset)
    counts = count_parameters(spec, images.classes) if images else None
    measured = timings(store, spec.model.architecture)
    found = outlook(store, priority)
    versions = _versions(spec, measured)
    estimate = _estimate(spec, images, versions, measured, _device(spec, found))
    queue = queue_of(
        found, spec.training.device, lambda other: _total_s(store, settings, other, found)
    )
    ends_at = None
    if estimate is not None and queue.starts_in_s is not None:
        ends_at = found.now + queue.starts_in_s + estimate.total_s
    return SpecSummary(
        name=spec.display_name(),
        images=_images(images),
        parameters=_parameters(counts),
        steps=_steps(spec, images),
        cached=_cached(spec, images, versions),
        time=_time(estimate),
        time_unknown="" if estimate else _why_unknown(spec, images, measured),
        preflight=_preflight(estimate, images),
        queue=queue,
        ends_at=ends_at,
    )


def _preflight(estimate: TimeEstimate | None, images: object | None) -> str:
    if images is None:
        return ""
    if estimate is None:
        return "Nobody has timed this network here: two real steps tell whether it fits."
    return "A long run: two real steps tell whether it fits." if estimate.total_s > LONG_S else ""


def _versions(spec: ExperimentSpec, measured: Sequence[Timing]) -> int:
    """Return how many versions of each image's features will be kept.

    As the spec asks for, unless a run with the same network and freezing had none: its head is not
    the network's end, or the features did not fit.
    """
    versions = spec.augmentation.finite_versions if spec.freeze.backbone_never_moves else 0
    if not versions:
        return 0
    wanted = (spec.model.model_dump(mode="json"), spec.augmentation.model_dump(mode="json"))
    for timing in measured:
        other = timing.spec
        if (other["model"], other["augmentation"]) == wanted and other["freeze"]["layers"] == (
            "backbone"
        ):
            return int(timing.resolved.get("feature_variants") or 0)
    return versions


def _device(spec: ExperimentSpec, found: Outlook) -> str | None:
    if spec.training.device != "auto":
        return spec.training.device
    devices = {slots.device for slots in found.slots}
    return devices.pop() if len(devices) == 1 else None


def _estimate(
    spec: ExperimentSpec,
    images: Images | None,
    versions: int,
    measured: Sequence[Timing],
    device: str | None,
) -> TimeEstimate | None:
    if images is None:
        return None
    entry = catalogue.entry(spec.model.architecture)
    work = Work(
        spec=spec.model_dump(mode="json"),
        train=images.train,
        val=images.val,
        test=images.test,
        input_size_px=spec.dataset.input_size_px or entry.input_size_px,
        feature_variants=versions,
        device=device,
    )
    limit = spec.training.time_limit_minutes
    return estimate_time(work, spec.training.epochs, measured, limit * 60 if limit else None)


def _total_s(
    store: Store, settings: Settings, data: Mapping[str, Any], found: Outlook
) -> float | None:
    """Return how long a queued run will take, by its spec."""
    try:
        spec = parse_spec(data)
        images = images_of(store, settings, spec.dataset)
    except InvalidInput:
        return None
    measured = timings(store, spec.model.architecture)
    versions = _versions(spec, measured)
    estimate = _estimate(spec, images, versions, measured, _device(spec, found))
    return estimate.total_s if estimate else None


def _images(images: Images | None) -> ImagesOut | None:
    if images is None:
        return None
    return ImagesOut(
        train=images.train,
        val=images.val,
        test=images.test,
        classes=images.classes,
        exact=images.is_exact,
    )


def _parameters(counts: ParameterCounts | None) -> ParametersOut | None:
    if counts is None:
        return None
    return ParametersOut(
        total=counts.total,
        trained=counts.trained,
        trained_at_last=counts.trained_at_last,
        exact=counts.is_exact,
    )


def _steps(spec: ExperimentSpec, images: Images | None) -> StepsOut | None:
    if images is None:
        return None
    per_epoch = math.ceil(images.train / spec.training.step_images)
    return StepsOut(
        per_epoch=per_epoch,
        total=per_epoch * spec.training.epochs,
        images=spec.training.step_images,
    )


def _cached(spec: ExperimentSpec, images: Images | None, versions: int) -> CachedOut:
    passes = versions * images.train + images.val if images and versions else 0
    if versions:
        twice = ", plain and mirrored" if versions > 1 else ""
        text = (
            f"The frozen backbone runs once for each image{twice}, for all runs that share it; "
            "epochs train the head alone."
        )
    elif spec.freeze.backbone_never_moves:
        text = (
            "Nothing: each epoch sees other versions of the images, so the frozen backbone runs "
            "every time. With augmentation none or flip it would run once."
            if not spec.augmentation.finite_versions
            else "Nothing: in this network something follows the head, so all of it runs each time."
        )
    elif spec.freeze.layers == "backbone":
        text = "Nothing: the backbone's statistics move or it is unfrozen later, so it always runs."
    else:
        text = "Images, decoded and resized once; the network is trained, so all of it runs."
    return CachedOut(versions=versions, passes=passes, text=text)


def _time(estimate: TimeEstimate | None) -> TimeOut | None:
    if estimate is None:
        return None
    count = len(estimate.run_ids)
    return TimeOut(
        epoch_s=estimate.epoch_s,
        total_s=estimate.total_s,
        low_s=estimate.low_s,
        high_s=estimate.high_s,
        likeness=estimate.likeness,
        runs=list(estimate.run_ids),
        text=f"Measured here on {count} run{'s' if count != 1 else ''} "
        f"{LIKENESS[estimate.likeness]}.",
    )


def _why_unknown(spec: ExperimentSpec, images: Images | None, measured: Sequence[Timing]) -> str:
    if images is None:
        return "Known once the dataset is prepared."
    if not measured:
        return f"No run of {spec.model.architecture} has finished an epoch here yet."
    return f"No run of {spec.model.architecture} that is frozen alike has been measured here yet."
