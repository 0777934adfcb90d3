"""The stages of a freezing schedule: which is under way, and what rate they ask for."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.optimizer_section import RateGroup
from trainer.spec import ExperimentSpec


@dataclass(frozen=True)
class Span:
    """The epochs over which one schedule of the learning rate runs, and its base rate."""

    lr: float
    """What the schedule multiplies: the optimizer's own, or that of the stage under way."""
    first_epoch: int
    """Where the schedule starts; 1 unless it was restarted."""
    epochs: int
    """How many epochs the schedule has, up to its next restart or the run's end."""


def stage_at(spec: ExperimentSpec, epoch: int) -> int:
    """Return how many stages of the freezing schedule have begun in an epoch, counted from 1."""
    return sum(stage.epoch <= epoch for stage in spec.freeze.schedule)


def restarts(spec: ExperimentSpec) -> list[int]:
    """Return the epochs in which the learning rate's schedule begins, rising, the first being 1."""
    stages = {stage.epoch for stage in spec.freeze.schedule if stage.restarts}
    return sorted({1, *stages, *(epoch + 1 for epoch in spec.scheduler.restarts_after)})


def span_at(spec: ExperimentSpec, epoch: int) -> Span:
    """Return the span of the learning rate's schedule that an epoch lies in."""
    lr = spec.optimizer.lr
    for stage in spec.freeze.schedule:
        if stage.epoch <= epoch and stage.lr is not None:
            lr = stage.lr
    starts = restarts(spec)
    first = max(start for start in starts if start <= epoch)
    end = min((start for start in starts if start > epoch), default=spec.training.epochs + 1)
    return Span(lr, first, end - first)


def groups_at(spec: ExperimentSpec, stage: int) -> tuple[RateGroup, ...]:
    """Return the learning rates by module once so many stages have begun."""
    given = [begun.groups for begun in spec.freeze.schedule[:stage] if begun.groups is not None]
    return given[-1] if given else spec.optimizer.groups
