"""Steps of a study: what a later step may choose by, and a study's steps as they are launched.

A run of a later step begins with the spec of the best run of an earlier one. Which spec that will
be is not known before, but which it may be is: every possible spec is an option of the run, made
and checked when the study is launched, so that nothing is left to go wrong when the choice falls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trainer.errors import FieldError, InvalidInput, nearest
from trainer.published import Published
from trainer.spec import ExperimentSpec

STEPS_LIMIT = 50
OPTIONS_LIMIT = 1_000
"""Specs that the runs of a study with steps may have, all together."""
VOTERS_LIMIT = 50

WhenFailed = Literal["continue", "stop"]
_BEST_OF = re.compile(
    r"\s*best_of\s*\((?P<step>.+),(?P<metric>\s*[^\s\d,][^,]*)(,\s*(?P<rank>\d{1,4})\s*)?\)\s*",
    re.S,
)


@dataclass(frozen=True)
class Measure:
    """A number by which runs are compared: a figure of a series, or of an evaluated split."""

    words: str
    figure: str
    """best or last of a series; accuracy, loss or macro_f1 of a split."""
    series: str = ""
    split: str = ""
    highest: bool = True
    """Whether the highest value is the best."""


MEASURES: Mapping[str, Measure] = {
    "best_val_accuracy": Measure("best validation accuracy", "best", series="val_accuracy"),
    "final_val_accuracy": Measure("final validation accuracy", "last", series="val_accuracy"),
    "best_val_loss": Measure("lowest validation loss", "best", series="val_loss", highest=False),
    "final_val_loss": Measure("final validation loss", "last", series="val_loss", highest=False),
    "train_accuracy": Measure("training accuracy", "last", series="train_accuracy"),
    "train_loss": Measure("training loss", "last", series="train_loss", highest=False),
    "val_macro_f1": Measure("validation macro F1", "macro_f1", split="val"),
    "test_accuracy": Measure("test accuracy", "accuracy", split="test"),
    "test_loss": Measure("test loss", "loss", split="test", highest=False),
    "test_macro_f1": Measure("test macro F1", "macro_f1", split="test"),
}


@dataclass(frozen=True)
class BestOf:
    """Which run a later one begins with: the best of an earlier step."""

    step: str
    metric: str
    """Of `MEASURES`."""
    rank: int = 1
    """1 for the best, 2 for the next."""

    def words(self) -> str:
        """Return what is chosen, as people read it."""
        if self.rank == 1:
            return f"the best run of {self.step} by {self.metric}"
        return f"the run of {self.step} that is number {self.rank} by {self.metric}"


@dataclass(frozen=True)
class Planned:
    """A run to launch, or one that may be."""

    spec: ExperimentSpec
    published: Published | None
    """None where its authors reported nothing and nothing stands in for anything."""
    parent: int | None = None
    """Of a run that begins with another's spec: which option of the other's step that is."""


@dataclass(frozen=True)
class PlannedRun:
    """A run of a step, with every spec that it may have."""

    options: tuple[Planned, ...]
    """One where `origin` is None."""
    origin: BestOf | None = None
    changes: tuple[str, ...] = ()
    """What it changes of the spec that it begins with, such as `training.epochs 50`."""

    @property
    def name(self) -> str:
        """The name that it has whatever is chosen; empty where that decides it."""
        names = {option.spec.display_name() for option in self.options}
        return names.pop() if len(names) == 1 else ""


@dataclass(frozen=True)
class PlannedVote:
    """A vote of runs of earlier steps."""

    voters: tuple[tuple[str, int], ...]
    """Step and number of each run, from 0."""
    preferred: int
    """Which of the voters decides ties."""
    method: Literal["majority", "mean"]
    split: Literal["val", "test"]
    published: Published | None


@dataclass(frozen=True)
class PlannedStep:
    """A step to launch: runs, or a vote."""

    name: str
    after: tuple[str, ...] = ()
    """The steps that it waits for."""
    when_failed: WhenFailed = "continue"
    runs: tuple[PlannedRun, ...] = ()
    vote: PlannedVote | None = None

    @property
    def options(self) -> tuple[Planned, ...]:
        """Every run that the step may launch; their places are what `Planned.parent` counts."""
        return tuple(option for run in self.runs for option in run.options)


def parse_best_of(text: str) -> BestOf:
    """Return what `best_of(STEP, METRIC)` or `best_of(STEP, METRIC, RANK)` says.

    Raises:
        InvalidInput: If it is something else, or the metric is none by which runs are chosen.
    """
    found = _BEST_OF.fullmatch(text)
    if found is None:
        example = "Such as `best_of(sweep, best_val_accuracy)`."
        raise InvalidInput.of(FieldError("from", text[:120], "best_of(STEP, METRIC)", example))
    metric = found["metric"].strip()
    if metric not in MEASURES:
        expected = "best_of with one of the metrics " + ", ".join(MEASURES)
        raise InvalidInput.of(FieldError("from", text[:120], expected, nearest(metric, MEASURES)))
    rank = int(found["rank"] or 1)
    if rank < 1:
        expected = "best_of with a rank from 1, the best, or without one"
        raise InvalidInput.of(FieldError("from", text[:120], expected))
    return BestOf(found["step"].strip(), metric, rank)
