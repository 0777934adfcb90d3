"""How long a run will take, told from what runs like it took on this installation.

Pure functions. Nothing is guessed from one architecture for another: where nothing comparable was
measured, there is no estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from store.timings import Timing
from trainer import catalogue

Likeness = Literal["same", "similar", "rough"]
"""same: every setting that costs time. similar: the same network, freezing and input size.
rough: another input size or other frozen layers, scaled by pixels."""
RUNS_TAKEN = 5  # the newest of the likest
# A pass without gradients takes about a third of a training step's time: forward alone, where
# backward costs twice as much (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
PASS_WITHOUT_GRADIENTS = 1 / 3


@dataclass(frozen=True)
class Work:
    """What decides how long an epoch takes."""

    spec: Mapping[str, Any]
    """As JSON."""
    train: int
    val: int
    test: int
    """Images."""
    input_size_px: int
    feature_variants: int
    """Above 0: the frozen backbone is run once, and epochs train the head alone."""
    device: str | None
    """cpu or cuda; None where either may come."""

    @property
    def epoch_images(self) -> float:
        """Training images of an epoch, those without gradients as shares."""
        if self.feature_variants:
            return self.train + self.val
        return self.train + self.val * PASS_WITHOUT_GRADIENTS

    @property
    def once_images(self) -> float:
        """Passes through a frozen backbone before the first epoch."""
        return self.feature_variants * self.train + self.val if self.feature_variants else 0

    @property
    def last_images(self) -> float:
        """What the final evaluation passes through the network."""
        share = 1.0 if self.feature_variants else PASS_WITHOUT_GRADIENTS
        return share * (self.test + (0 if self.feature_variants else self.val))


@dataclass(frozen=True)
class TimeEstimate:
    """What the likest runs say."""

    epoch_s: float
    total_s: float
    low_s: float
    high_s: float
    """Total by the fastest and by the slowest of them."""
    likeness: Likeness
    run_ids: tuple[int, ...]


def estimate_time(
    work: Work, epochs: int, measured: Iterable[Timing], limit_s: float | None = None
) -> TimeEstimate | None:
    """Return how long `epochs` of `work` take, by the likest runs; None where there are none.

    Args:
        work: Of the run.
        epochs: At most; early stopping may end it sooner.
        measured: Of the same architecture, newest first.
        limit_s: The run's own limit on training.
    """
    graded: dict[Likeness, list[Timing]] = {"same": [], "similar": [], "rough": []}
    for timing in measured:
        likeness = _likeness(work, timing)
        if likeness is not None:
            graded[likeness].append(timing)
    for likeness, found in graded.items():
        if found:
            taken = found[:RUNS_TAKEN]
            each = [_one(work, epochs, timing) for timing in taken]
            totals = [min(total, limit_s) if limit_s else total for _, total in each]
            return TimeEstimate(
                median(epoch for epoch, _ in each),
                median(totals),
                min(totals),
                max(totals),
                likeness,
                tuple(timing.run_id for timing in taken),
            )
    return None


def _one(work: Work, epochs: int, timing: Timing) -> tuple[float, float]:
    """Return seconds of an epoch and of the whole run, by one run's measure."""
    theirs = _their_work(timing)
    pixels = (work.input_size_px / theirs.input_size_px) ** 2
    later = timing.first_epoch_s if timing.epoch_s is None else timing.epoch_s
    per_image = later / max(theirs.epoch_images, 1)
    once = max(0.0, timing.first_epoch_s - later)
    if work.feature_variants:  # the head's work does not depend on the input's size
        per_pass = once / max(theirs.once_images, 1) * pixels
        epoch = per_image * work.epoch_images
        before, after = per_pass * work.once_images, per_pass * work.last_images
    else:
        epoch = per_image * pixels * work.epoch_images
        before, after = once, per_image * pixels * work.last_images
    return epoch, before + epochs * epoch + after


def _likeness(work: Work, timing: Timing) -> Likeness | None:
    theirs = _their_work(timing)
    if work.device is not None and theirs.device != work.device:
        return None
    if bool(work.feature_variants) != bool(theirs.feature_variants):
        return None
    # Without a second epoch nothing tells the features' once from the epochs' time.
    if work.feature_variants and timing.epoch_s is None:
        return None
    mine, other = work.spec, theirs.spec
    if mine["freeze"] == other["freeze"] and work.input_size_px == theirs.input_size_px:
        costs = ("augmentation", "model", "loss")
        is_same = all(mine[section] == other[section] for section in costs) and (
            mine["dataset"]["name"] == other["dataset"]["name"]
            and mine["training"]["batch_size"] == other["training"]["batch_size"]
            and mine["training"]["precision"] == other["training"]["precision"]
        )
        return "same" if is_same else "similar"
    whole = (mine["freeze"]["layers"] == "none", other["freeze"]["layers"] == "none")
    if mine["freeze"]["schedule"] or other["freeze"]["schedule"] or whole[0] != whole[1]:
        return None
    return "rough"


def _their_work(timing: Timing) -> Work:
    resolved, sizes = timing.resolved, timing.split_sizes
    size = resolved.get("input_size_px") or timing.spec["dataset"]["input_size_px"]
    return Work(
        timing.spec,
        sizes.get("train", 0),
        sizes.get("val", 0),
        sizes.get("test", 0),
        int(size or catalogue.entry(timing.spec["model"]["architecture"]).input_size_px),
        int(resolved.get("feature_variants") or 0),
        resolved.get("device"),
    )
