"""What a verdict rests on: which images each run got right, and its settings' other seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Seed:
    """A run of a setting, as one replicate among others."""

    run_id: int
    seed: int
    right_count: int
    right: bytes | None
    """1 or 0 for each image; None where the predictions are not here."""


@dataclass(frozen=True)
class Candidate:
    """A run that is to be judged."""

    run_id: int
    label: str
    family: int
    """Equal for runs that differ in seed and name alone."""
    right: bytes | None
    """1 or 0 for each image of the split; None where `missing` says why."""
    missing: str = ""
    """Why this run cannot be compared image by image; empty where it can."""
    seeds: tuple[Seed, ...] = ()
    """Ended runs of the same settings on the same images, this one first, no seed twice."""
    coming: tuple[int, ...] = ()
    """Runs of the same settings with further seeds that are queued, running or paused."""
    taken: frozenset[int] = frozenset()
    """Seeds that runs of the same settings have had, whatever became of them."""
    can_launch: bool = True
    """Whether Tuneboard can train this run's settings with further seeds."""


@dataclass(frozen=True)
class Evidence:
    """Everything about the runs to judge, on one split."""

    split: Literal["val", "test"]
    samples: int
    """Images of the baseline's split."""
    split_chose_epoch: bool
    """Whether the weights were chosen by these images."""
    split_reason: str
    """Why this split; a sentence, or empty."""
    baseline: Candidate
    others: tuple[Candidate, ...]
    refusals: Mapping[int, str]
    """Run → why its evaluation cannot be compared with the baseline's."""
