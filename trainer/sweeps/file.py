"""What a sweep says: a base, a space, and how the space is gone through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from trainer.errors import FieldError, InvalidInput
from trainer.parsing import field_errors
from trainer.section import Section, field_problem
from trainer.steps import MEASURES

AXES_LIMIT = 20
VALUES_LIMIT = 200
"""Values of one field."""
RUNS_LIMIT = 1_000
"""Runs of one study, those of later steps included."""
TRIALS_LIMIT = 500
AT_ONCE_LIMIT = 32
KEEP_LIMIT = 50
SEEDS_LIMIT = 20
SEED_LIMIT = 2**31 - 1
CHOOSING = tuple(name for name in MEASURES if not name.startswith("test_"))
"""Metrics that a sweep may choose by: what is chosen by test images was not tested on them."""


class Range(Section):
    """Values between two ends."""

    low: float
    high: float
    log: bool = Field(False, description="Spread evenly over orders of magnitude.")
    step: float | None = Field(None, gt=0, description="Distance between two values.")
    count: int | None = Field(None, ge=2, le=VALUES_LIMIT, description="How many values.")

    @model_validator(mode="after")
    def _is_one(self) -> Range:
        if self.high <= self.low:
            raise field_problem("high", self.high, f"above `low`, {self.low:g}", "")
        if self.log and self.low <= 0:
            remedy = "Orders of magnitude begin above 0."
            raise field_problem("low", self.low, "above 0 with `log: true`", remedy)
        if self.step is not None and (self.count is not None or self.log):
            other = "count" if self.count is not None else "log: true"
            raise field_problem("step", self.step, f"left out beside `{other}`", "")
        if self.step is not None and self.step > self.high - self.low:
            length = self.high - self.low
            raise field_problem("step", self.step, f"at most the range's length, {length:g}", "")
        return self


class Search(Section):
    """How Optuna looks for the best values."""

    trials: int = Field(20, ge=1, le=TRIALS_LIMIT, description="The budget: runs, all together.")
    metric: str = Field("best_val_accuracy", description="What the best is judged by.")
    sampler: Literal["tpe", "random"] = Field(
        "tpe", description="tpe learns from the trials before; random does not."
    )
    pruner: Literal["none", "median", "hyperband"] = Field(
        "none",
        description="Which trials are given up after an epoch. median: those that stand below the "
        "median of the earlier ones. hyperband: the worse two thirds of a group, again and again.",
    )
    at_once: int = Field(
        1,
        ge=1,
        le=AT_ONCE_LIMIT,
        description="Trials under way at the same time. Each learns from those that have ended.",
    )

    @field_validator("metric")
    @classmethod
    def _chooses(cls, metric: str) -> str:
        return _checked(metric)


class Ladder(Section):
    """Many short runs, of which the best are trained for longer."""

    probe: dict[str, Any] = Field(
        default_factory=lambda: {"freeze": {"layers": "backbone"}},
        description="What a probe has in place of the base: sections of a spec.",
    )
    keep: int = Field(3, ge=1, le=KEEP_LIMIT, description="How many probes are promoted.")
    metric: str = Field("best_val_accuracy", description="What the best are judged by.")
    promote: dict[str, Any] = Field(
        default_factory=lambda: {"freeze": {"layers": "none"}},
        description="What a promoted run has in place of its probe's: sections of a spec.",
    )

    @field_validator("metric")
    @classmethod
    def _chooses(cls, metric: str) -> str:
        return _checked(metric)


class Sweep(Section):
    """Many runs out of one spec."""

    base: dict[str, Any] = Field(description="A spec: what the runs have in common.")
    space: dict[str, Any] = Field(
        default_factory=dict,
        max_length=AXES_LIMIT,
        description="Path of a field, such as optimizer.lr → a list of values, or a range: low, "
        "high, and log: true, step or count.",
    )
    kind: Literal["grid", "random", "search", "ladder"] = Field(
        "grid",
        description="grid: every combination. random: some of them. search: Optuna chooses, trial "
        "after trial. ladder: every combination as a short probe, and the best for longer.",
    )
    runs: int | None = Field(
        None,
        ge=1,
        le=RUNS_LIMIT,
        description="Of a random sweep: how many. Of a ladder: so many probes, drawn at random.",
    )
    seed: int = Field(0, ge=0, le=SEED_LIMIT, description="Of what is drawn at random.")
    seeds: int = Field(
        1,
        ge=1,
        le=SEEDS_LIMIT,
        description="Each run, or each promoted one of a ladder, with so many seeds: the base's "
        "training.seed and those after it.",
    )
    search: Search | None = None
    ladder: Ladder | None = None

    @model_validator(mode="after")
    def _parts_fit_the_kind(self) -> Sweep:
        for name in ("search", "ladder"):
            if getattr(self, name) is not None and self.kind != name:
                raise field_problem(name, "given", f"left out with `kind: {self.kind}`", "")
        if self.kind == "random" and self.runs is None:
            raise field_problem("runs", None, "how many runs are drawn, with `kind: random`", "")
        if self.runs is not None and self.kind in {"grid", "search"}:
            remedy = "A search's budget is `search.trials`." if self.kind == "search" else ""
            raise field_problem("runs", self.runs, f"left out with `kind: {self.kind}`", remedy)
        if self.kind == "search" and self.seeds > 1:
            remedy = "Repeat the best trials with more seeds when the search has ended."
            raise field_problem("seeds", self.seeds, "1 with `kind: search`", remedy)
        if not self.space and (self.kind != "grid" or self.seeds == 1):
            remedy = "Such as `optimizer.lr: [0.1, 0.01]`."
            raise field_problem(
                "space", "nothing", "at least one field, or `seeds` above 1", remedy
            )
        if self.seeds > 1 and "training.seed" in self.space:
            raise field_problem("seeds", self.seeds, "1 where `training.seed` is in the space", "")
        return self

    @property
    def searching(self) -> Search:
        """How a search goes, with the defaults."""
        return self.search or Search()

    @property
    def climbing(self) -> Ladder:
        """How a ladder goes, with the defaults."""
        return self.ladder or Ladder()


def as_sweep(data: object) -> Sweep:
    """Return the sweep that `data` describes; its space and specs are not looked at yet.

    Raises:
        InvalidInput: With the path of each wrong field, below `sweep`.
    """
    if not isinstance(data, Mapping):
        raise InvalidInput.of(FieldError("sweep", str(data)[:80], "a mapping with `base`"))
    try:
        return Sweep.model_validate(dict(data))
    except ValidationError as error:
        found = field_errors(error, Sweep)
        raise InvalidInput.of(*(one.below("sweep") for one in found)) from error


def _checked(metric: str) -> str:
    if metric in CHOOSING:
        return metric
    remedy = "What is chosen by test images was not tested on them." if metric in MEASURES else ""
    raise field_problem("", metric, "one of " + ", ".join(CHOOSING), remedy)
