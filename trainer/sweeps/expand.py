"""From a sweep to what one study launches: runs at once, the steps of a ladder, or trials.

Every spec that may be launched is made and checked here, so that nothing is left to go wrong
later; only of a search not every combination can be looked at before.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec, flat_fields
from trainer.steps import OPTIONS_LIMIT, BestOf, Planned, PlannedRun, PlannedStep
from trainer.sweeps.file import RUNS_LIMIT, Sweep
from trainer.sweeps.naming import name_of
from trainer.sweeps.space import Axis, axes_of, changed, overlaid

PROBE, PROMOTED = "probe", "promoted"
SEED = Axis("training.seed")
DRAWS_LIMIT = 50
"""Tries for each run that is drawn, as two may fall on the same values."""

Drawn = tuple[float, ...]
"""For each axis the place of a value, or a number of its range."""


@dataclass(frozen=True)
class Expansion:
    """What a sweep comes to."""

    sweep: Sweep
    axes: tuple[Axis, ...]
    runs: tuple[Planned, ...] = ()
    """All of a grid's or a random sweep's."""
    steps: tuple[PlannedStep, ...] = ()
    """Of a ladder."""
    corners: tuple[ExperimentSpec, ...] = ()
    """Of a search: each value and each end of a range once, to be checked."""

    @property
    def count(self) -> int:
        """How many runs it launches at most."""
        if self.sweep.kind == "search":
            return self.sweep.searching.trials
        return len(self.runs) + sum(len(step.runs) for step in self.steps)

    @property
    def names(self) -> list[str]:
        """The names of the runs that are known before; of a search none are."""
        first = self.steps[0].options if self.steps else self.runs
        return [run.spec.display_name() for run in first]

    @property
    def paths(self) -> list[str]:
        """The fields in which its runs differ, the seed among them where there are several."""
        seeds = [SEED.path] if self.sweep.seeds > 1 else []
        return [axis.path for axis in self.axes] + seeds

    @property
    def specs(self) -> list[ExperimentSpec]:
        """Every spec that is known before."""
        options = [option for step in self.steps for option in step.options]
        return [one.spec for one in (*self.runs, *options)] + list(self.corners)


def expand(sweep: Sweep) -> Expansion:
    """Return what a sweep comes to.

    Raises:
        InvalidInput: With the path of each wrong field, below `sweep`.
    """
    try:
        axes = axes_of(sweep.space, sweep.base)
        maker = _Maker(sweep, axes)
        if sweep.kind == "search":
            expansion = Expansion(sweep, axes, corners=maker.corners())
        elif sweep.kind == "ladder":
            expansion = Expansion(sweep, axes, steps=maker.ladder())
        else:
            expansion = Expansion(sweep, axes, runs=maker.runs(sweep.base, sweep.seeds))
        maker.raise_if_wrong()
    except InvalidInput as problem:
        raise InvalidInput.of(*(one.below("sweep") for one in problem.errors)) from problem
    return expansion


def search_axes(sweep: Sweep) -> tuple[Axis, ...]:
    """Return the axes as a search draws from them: a range with a step stays a range."""
    axes = axes_of(sweep.space, sweep.base)
    return tuple(replace(axis, values=()) if axis.step is not None else axis for axis in axes)


def trial_spec(
    sweep: Sweep, axes: Sequence[Axis], drawn: Sequence[float], number: int
) -> ExperimentSpec:
    """Return the spec of a search's trial.

    Args:
        sweep: The search.
        axes: Its `search_axes`.
        drawn: For each axis the place of a value, or a number.
        number: Of the trial, from 1.

    Raises:
        InvalidInput: If these values do not go together.
    """
    data = _data(sweep.base, axes, drawn)
    spec = parse_spec(data)
    opening = f"trial {number}"
    if sweep.base.get("name"):
        opening = f"{sweep.base['name']}, {opening}"
    return _named(spec, name_of(axes, _values(spec, axes, drawn), opening))


class _Maker:
    """Makes a sweep's specs, and gathers what is wrong with them."""

    def __init__(self, sweep: Sweep, axes: tuple[Axis, ...]) -> None:
        self._sweep = sweep
        self._axes = axes
        self._errors: dict[tuple[str, str], FieldError] = {}

    def raise_if_wrong(self) -> None:
        """Raise what is wrong, if anything is."""
        if self._errors:
            raise InvalidInput.of(*self._errors.values())

    def runs(
        self, base: Mapping[str, Any], seeds: int, changes: str = "", own: Mapping[str, Any] = {}
    ) -> tuple[Planned, ...]:
        """Return a run for each combination and seed.

        Args:
            base: The spec that they begin with.
            seeds: How many of each.
            changes: Where the sweep says `own`.
            own: What the base has been changed by.
        """
        total = self._total() * seeds
        if total > RUNS_LIMIT:
            remedy = "Give fewer values, or draw some of them: `kind: random` with `runs: 100`."
            if self._sweep.kind != "grid":
                remedy = "Draw fewer of them: lower `runs`." if self._sweep.runs else remedy
            expected = f"so few values that there are at most {RUNS_LIMIT:,} runs"
            raise InvalidInput.of(FieldError("space", f"{total:,} runs", expected, remedy))
        made: list[Planned] = []
        names: set[str] = set()
        for drawn in self._combinations():
            spec = self._checked(base, drawn, changes, own)
            for more in range(seeds if spec else 0):
                assert spec is not None  # noqa: S101 - none are made without one
                one = self._with_seed(spec, drawn, more, seeds > 1)
                if one is None:
                    continue
                if one.name in names:
                    one = _named(one, f"{one.name[:190]} ({len(made) + 1})")
                names.add(one.name)
                made.append(Planned(one, None))
        return tuple(made)

    def ladder(self) -> tuple[PlannedStep, ...]:
        """Return the two steps: the probes, and the best of them changed."""
        plan, seeds = self._sweep.climbing, self._sweep.seeds
        base = overlaid(self._sweep.base, plan.probe)
        for name in ("probe", "promote"):
            inside = [p for p in flat_fields(getattr(plan, name)) if self._swept(p)]
            for path in inside if name == "probe" else ():
                expected = "left out where it is in the space"
                raise InvalidInput.of(FieldError(f"ladder.probe.{path}", path, expected))
        probes = self.runs(base, 1, "ladder.probe", plan.probe)
        self.raise_if_wrong()
        if plan.keep > len(probes):
            expected = f"at most {len(probes)}, as many as there are probes"
            raise InvalidInput.of(FieldError("ladder.keep", plan.keep, expected))
        total = len(probes) * (1 + plan.keep * seeds)
        if total > OPTIONS_LIMIT:
            expected = (
                f"so few probes that they and all they may be promoted to are at most "
                f"{OPTIONS_LIMIT:,} specs"
            )
            remedy = "Lower `ladder.keep` or `seeds`, or draw fewer probes with `runs`."
            raise InvalidInput.of(FieldError("space", f"{total:,} specs", expected, remedy))
        promoted = [
            [self._promoted(probe, plan.promote, place, more) for place, probe in enumerate(probes)]
            for more in range(seeds)
        ]
        self.raise_if_wrong()
        changes = tuple(f"{path} {value}" for path, value in flat_fields(plan.promote).items())
        runs = [
            PlannedRun(
                tuple(one for one in options if one is not None),
                BestOf(PROBE, plan.metric, rank),
                (*changes, f"training.seed +{more}") if more else changes,
            )
            for rank in range(1, plan.keep + 1)
            for more, options in enumerate(promoted)
        ]
        first = PlannedStep(PROBE, runs=tuple(PlannedRun((probe,)) for probe in probes))
        return (first, PlannedStep(PROMOTED, (PROBE,), runs=tuple(runs)))

    def corners(self) -> tuple[ExperimentSpec, ...]:
        """Return a spec for each value, or end of a range, beside the first of all others."""
        first = [0.0 if axis.values else axis.low for axis in self._axes]
        found = []
        for place, axis in enumerate(self._axes):
            ends = range(len(axis.values)) if axis.values else (axis.low, axis.high)
            for end in ends:
                drawn = (*first[:place], float(end), *first[place + 1 :])
                found.append(self._checked(self._sweep.base, drawn))
        return tuple(spec for spec in found if spec is not None)

    def _promoted(
        self, probe: Planned, promote: Mapping[str, Any], place: int, more: int
    ) -> Planned | None:
        before = probe.spec.model_dump(mode="json")
        data = overlaid(before, promote)
        data["name"] = f"{before['name'][:180]}, {PROMOTED}"
        try:
            spec = parse_spec(data)
            if more or self._sweep.seeds > 1:
                data = changed(data, SEED.path, spec.training.seed + more)
                data["name"] += f", seed {spec.training.seed + more}"
                spec = parse_spec(data)
        except InvalidInput as problem:
            for error in problem.errors:
                said = any(_is_at(path, error.field) for path in flat_fields(promote))
                where = "ladder.promote" if said else "base"
                self._say(replace(error.below(where)), f"a promoted `{before['name']}`")
            return None
        return Planned(spec, None, place)

    def _total(self) -> int:
        """Return how many combinations are made, without making them.

        Raises:
            InvalidInput: If a range has no end of values, or fewer combinations are there than
                are to be drawn.
        """
        if self._sweep.runs is not None:
            if all(axis.is_finite for axis in self._axes):
                size = math.prod(len(axis.values) for axis in self._axes)
                if self._sweep.runs > size:
                    expected = f"at most {size}, as many as there are combinations"
                    raise InvalidInput.of(FieldError("runs", self._sweep.runs, expected))
            return self._sweep.runs
        endless = [axis.path for axis in self._axes if not axis.is_finite]
        if endless:
            expected = f"a range with `count` or `step` in a {self._sweep.kind}"
            if self._sweep.kind == "ladder":
                expected += ", or `runs` beside the space"
            raise InvalidInput.of(
                *(FieldError(f"space.{path}", "a range", expected) for path in endless)
            )
        return math.prod(len(axis.values) for axis in self._axes)

    def _combinations(self) -> Iterator[Drawn]:
        if self._sweep.runs is not None:
            yield from self._drawn(self._sweep.runs)
            return
        for number in range(math.prod(len(axis.values) for axis in self._axes)):
            yield self._combination(number)

    def _combination(self, number: int) -> Drawn:
        """Return a combination by its number: the last axis changes first."""
        places: list[float] = []
        for axis in reversed(self._axes):
            number, place = divmod(number, len(axis.values))
            places.append(place)
        return tuple(reversed(places))

    def _drawn(self, runs: int) -> Iterator[Drawn]:
        rng = random.Random(self._sweep.seed)  # noqa: S311 - no secret
        if all(axis.is_finite for axis in self._axes):
            size = math.prod(len(axis.values) for axis in self._axes)
            for number in sorted(rng.sample(range(size), runs)):
                yield self._combination(number)
            return
        seen: set[Drawn] = set()
        for _ in range(runs * DRAWS_LIMIT):
            drawn = tuple(axis.draw(rng.random()) for axis in self._axes)
            if drawn not in seen:
                seen.add(drawn)
                yield drawn
            if len(seen) == runs:
                return
        expected = f"at most {len(seen)}, as many as the ranges hold"
        raise InvalidInput.of(FieldError("runs", runs, expected))

    def _checked(
        self,
        base: Mapping[str, Any],
        drawn: Drawn,
        changes: str = "",
        own: Mapping[str, Any] = {},
    ) -> ExperimentSpec | None:
        """Return the spec of a combination; None where something is wrong with it."""
        try:
            spec = parse_spec(_data(base, self._axes, drawn))
        except InvalidInput as problem:
            raw = {axis.path: axis.value(one) for axis, one in zip(self._axes, drawn, strict=True)}
            for error in problem.errors:
                self._say(self._placed(error, drawn, changes, own), name_of(self._axes, raw))
            return None
        opening = str(self._sweep.base.get("name") or "")
        name = name_of(self._axes, _values(spec, self._axes, drawn), opening)
        return _named(spec, name or spec.display_name())

    def _placed(
        self, error: FieldError, drawn: Drawn, changes: str, own: Mapping[str, Any]
    ) -> FieldError:
        """Return an error of a spec as one of what the sweep says."""
        for axis, one in zip(self._axes, drawn, strict=True):
            if _is_at(axis.path, error.field):
                inner = error.field.removeprefix(axis.path)
                place = f".{int(one)}" if axis.values and axis.path in self._sweep.space else ""
                if isinstance(self._sweep.space[axis.path], Mapping):
                    place = ""
                return replace(error, field=f"space.{axis.path}{place}{inner}")
        if any(_is_at(path, error.field) for path in flat_fields(own)):
            return error.below(changes)
        return error.below("base")

    def _say(self, error: FieldError, name: str) -> None:
        cross = not error.field.startswith("space.")
        remedy = f"{error.remedy} That is with {name}.".strip() if cross and name else error.remedy
        self._errors.setdefault((error.field, error.expected), replace(error, remedy=remedy))

    def _with_seed(
        self, spec: ExperimentSpec, drawn: Drawn, more: int, several: bool
    ) -> ExperimentSpec | None:
        if not several:
            return spec
        seed = spec.training.seed + more
        data = changed(spec.model_dump(mode="json"), SEED.path, seed)
        said = f"seed {seed}"
        data["name"] = f"{spec.name[:180]}, {said}"
        if not self._axes and not self._sweep.base.get("name"):
            data["name"] = f"{spec.display_name()[:180]}, {said}"
        try:
            return parse_spec(data)
        except InvalidInput as problem:
            for error in problem.errors:
                self._say(self._placed(error, drawn, "", {}), said)
            return None

    def _swept(self, path: str) -> bool:
        return any(_is_at(axis.path, path) for axis in self._axes)


def _data(base: Mapping[str, Any], axes: Sequence[Axis], drawn: Sequence[float]) -> dict[str, Any]:
    data = dict(base)
    for axis, one in zip(axes, drawn, strict=True):
        data = changed(data, axis.path, axis.value(one))
    return data


def _values(spec: ExperimentSpec, axes: Sequence[Axis], drawn: Sequence[float]) -> dict[str, Any]:
    """Return what differs, as the spec holds it; of a section, as the space says it."""
    fields = flat_fields(spec.model_dump(mode="json"))
    return {
        axis.path: fields.get(axis.path, axis.value(one))
        for axis, one in zip(axes, drawn, strict=True)
    }


def _named(spec: ExperimentSpec, name: str) -> ExperimentSpec:
    return spec.model_copy(update={"name": name})


def _is_at(path: str, field: str) -> bool:
    """Return whether an error's field lies at a path or below it."""
    return field == path or field.startswith(f"{path}.")
