"""Recipes: studies of several runs as YAML, and what their authors reported.

A recipe is a mapping with the keys of `RecipeFile`. Its runs, in one list or in steps, are specs,
to which the recipe's `common` sections and its dataset are added, beside what the authors reported
and what stands in for weights that cannot be downloaded; `trainer.recipe_runs` makes them.
`trainer.planning` turns a recipe into what to launch. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from trainer.errors import FieldError, InvalidInput, NotFound, nearest
from trainer.parsing import field_errors, yaml_data
from trainer.published import Reported
from trainer.recipe_runs import (
    Common,
    RecipeRun,
    RunOption,
    first_run,
    later_run,
    origin_of,
    split_extras,
)
from trainer.section import Section
from trainer.steps import OPTIONS_LIMIT, STEPS_LIMIT, VOTERS_LIMIT, BestOf, WhenFailed

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
RUNS_LIMIT = 1_000


class VoteFile(Section):
    """The keys of a step's vote."""

    of: list[str] = Field(
        min_length=1,
        max_length=VOTERS_LIMIT,
        description="Names of runs of earlier steps, or of steps, for all of their runs.",
    )
    method: Literal["majority", "mean"] = "majority"
    preferred: str | None = Field(
        None, description="The run that decides ties of a majority; the first where left out."
    )
    split: Literal["val", "test"] = "val"
    reported: tuple[Reported, ...] = Field((), max_length=20)


class StepFile(Section):
    """The keys of a step."""

    name: str = Field(min_length=1, max_length=100)
    after: list[str] | None = Field(
        None,
        max_length=STEPS_LIMIT,
        description="Earlier steps that it waits for; left out: the one before it; empty: none.",
    )
    when_failed: WhenFailed = Field(
        "continue",
        description="What becomes of the steps that wait for it if one of its runs fails or is "
        "cancelled. continue: they go on with those that succeeded. stop: they are skipped.",
    )
    runs: list[dict[str, Any]] | None = Field(None, min_length=1, max_length=RUNS_LIMIT)
    vote: VoteFile | None = None


class RecipeFile(Section):
    """The keys of a recipe's file."""

    name: str = Field("", max_length=200)
    note: str = Field("", max_length=10_000)
    dataset: str | None = Field(
        None, min_length=1, max_length=100, description="Of the runs that name none."
    )
    study_data: str = Field(
        "",
        max_length=500,
        description="What the study's data were, where they cannot be had and `dataset` is not "
        "the same.",
    )
    common: dict[str, Any] = Field(
        default_factory=dict,
        description="Sections of a spec that all runs begin with which begin with no other run.",
    )
    substitute: dict[str, str] = Field(
        default_factory=dict,
        description="Architecture → the one with weights in a package that can stand in for it.",
    )
    runs: list[dict[str, Any]] | None = Field(None, min_length=1, max_length=RUNS_LIMIT)
    steps: list[StepFile] | None = Field(None, min_length=1, max_length=STEPS_LIMIT)


@dataclass(frozen=True)
class RecipeVote:
    """A vote of runs of earlier steps."""

    voters: tuple[tuple[str, int], ...]
    """Step and number of each run, from 0."""
    preferred: int
    """Which of the voters decides ties."""
    given: VoteFile
    """As the file says it."""


@dataclass(frozen=True)
class RecipeStep:
    """A step of a study: runs, or a vote."""

    name: str
    """Empty for the runs of a recipe without steps."""
    after: tuple[str, ...]
    when_failed: WhenFailed
    runs: tuple[RecipeRun, ...] = ()
    vote: RecipeVote | None = None

    @property
    def options(self) -> tuple[RunOption, ...]:
        """Every spec that its runs may have; their places are what `RunOption.parent` counts."""
        return tuple(option for run in self.runs for option in run.options)


@dataclass(frozen=True)
class Recipe:
    """A study to launch."""

    name: str
    note: str
    dataset: str | None
    study_data: str
    steps: tuple[RecipeStep, ...]
    key: str = ""
    """The name of its file, by which it is asked for; empty for a recipe of somebody's own."""

    @property
    def has_steps(self) -> bool:
        """Whether its runs come in steps."""
        return bool(self.steps[0].name)

    @property
    def runs(self) -> tuple[RecipeRun, ...]:
        """The runs of all steps."""
        return tuple(run for step in self.steps for run in step.runs)

    @property
    def specs(self) -> tuple[dict[str, Any], ...]:
        """Every spec that a run may have, as JSON, as the authors did it."""
        return tuple(option.spec for run in self.runs for option in run.options)

    def voters(self, step: RecipeStep) -> tuple[str, ...]:
        """Return the names of the runs that vote in a step; a number where a name is unsure."""
        if step.vote is None:
            return ()
        runs = {one.name: one.runs for one in self.steps}
        return tuple(
            runs[name][number].name or f"run {number + 1} of {name}"
            for name, number in step.vote.voters
        )


def as_recipe(data: Mapping[str, Any], key: str = "") -> Recipe:
    """Return the recipe that `data` describes, each of its specs checked.

    Raises:
        InvalidInput: With the path of each wrong field, such as `runs.0.optimizer.lr`.
    """
    try:
        file = RecipeFile.model_validate(data)
    except ValidationError as error:
        raise InvalidInput.of(*field_errors(error, RecipeFile)) from error
    if file.runs is None and file.steps is None:
        raise InvalidInput.of(FieldError("runs", None, "given, or `steps`"))
    if file.runs is not None and file.steps is not None:
        raise InvalidInput.of(FieldError("steps", len(file.steps), "left out beside `runs`"))
    steps = _Steps(Common(file.dataset, file.common, file.substitute))
    if file.runs is not None:
        steps.add_runs("", (), "continue", file.runs, "")
    for index, step in enumerate(file.steps or ()):
        steps.add(step, f"steps.{index}")
    if steps.errors:
        raise InvalidInput.of(*steps.errors)
    return Recipe(file.name, file.note, file.dataset, file.study_data, tuple(steps.made), key)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with Tuneboard, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipes() -> list[Recipe]:
    """Return the recipes that come with Tuneboard, sorted by the names of their files."""
    return [load_recipe(name) for name in recipe_names()]


@cache
def load_recipe(name: str) -> Recipe:
    """Return one of the recipes that come with Tuneboard.

    Raises:
        NotFound: If there is none of that name.
    """
    known = recipe_names()
    if name not in known:
        remedy = nearest(name, known) or "There are: " + ", ".join(known) + "."
        raise NotFound(f"There is no recipe {name!r}.", remedy)
    data = yaml_data((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    return as_recipe(data if isinstance(data, Mapping) else {}, name)


@dataclass
class _Steps:
    """Steps as they are read, each of which knows those before it, and what is wrong with them."""

    common: Common
    made: list[RecipeStep] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)
    _waits_for: dict[str, set[str]] = field(default_factory=dict)
    """Each step's earlier ones, directly or not."""
    _wrong: set[str] = field(default_factory=set)
    """Steps with errors: what refers to them is not judged."""

    def add(self, given: StepFile, path: str) -> None:
        """Read a step of a file."""
        before = len(self.errors)
        if given.name in self._waits_for:
            self._say(path, FieldError("name", given.name, "a name that no other step has"))
            return
        after = self._after(given, path)
        waits_for = set(after).union(*(self._waits_for[name] for name in after))
        if len(self.errors) > before:  # what it meant to wait for is not known
            waits_for = set(self._waits_for)
        self._waits_for[given.name] = waits_for
        if (given.runs is None) == (given.vote is None):
            what = None if given.runs is None else len(given.runs)
            self._say(path, FieldError("runs", what, "given, or `vote`: one of the two"))
        elif given.runs is not None:
            self.add_runs(given.name, after, given.when_failed, given.runs, path)
        else:
            assert given.vote is not None  # noqa: S101 - one of the two is there
            vote = self._vote(given.vote, waits_for, f"{path}.vote")
            if vote is not None:
                self.made.append(RecipeStep(given.name, after, given.when_failed, vote=vote))
        if len(self.errors) > before:
            self._wrong.add(given.name)

    def add_runs(
        self,
        name: str,
        after: tuple[str, ...],
        when_failed: WhenFailed,
        given: list[dict[str, Any]],
        path: str,
    ) -> None:
        """Read the runs of a step."""
        runs = []
        for index, one in enumerate(given):
            try:
                run = self._run(name, one)
            except InvalidInput as problem:
                self._say(f"{path}.runs.{index}", *problem.errors)
                continue
            if run is not None:
                runs.append(run)
        self.made.append(RecipeStep(name, after, when_failed, tuple(runs)))
        total = sum(len(step.options) for step in self.made)
        if name and total > OPTIONS_LIMIT:
            expected = f"runs that may have at most {OPTIONS_LIMIT:,} specs, with all before them"
            self._say(path, FieldError("runs", total, expected, "Choose among fewer runs."))

    def _run(self, step: str, given: dict[str, Any]) -> RecipeRun | None:
        """Return a run; None if it begins with a step that is wrong itself."""
        own, extras = split_extras(given)
        origin = origin_of(extras)
        if origin is None:
            return first_run(self.common, own, extras)
        self._check_origin(step, origin)
        if origin.step in self._wrong:
            return None
        [parent] = [one for one in self.made if one.name == origin.step]
        return later_run(self.common, own, extras, origin, parent.options, step)

    def _check_origin(self, step: str, origin: BestOf) -> None:
        if not step:
            expected = "left out in a study without steps"
            raise InvalidInput.of(
                FieldError("from", origin.step, expected, "Put the runs into `steps`.")
            )
        earlier = self._waits_for[step]
        if origin.step not in earlier:
            remedy = nearest(origin.step, earlier) or _known("Steps that it waits for", earlier)
            if origin.step in self._waits_for and origin.step != step:
                remedy = f"Add `{origin.step}` to the step's `after`."
            expected = "best_of an earlier step that this one waits for"
            raise InvalidInput.of(FieldError("from", origin.step, expected, remedy))
        if origin.step not in self._wrong and not any(
            one.options for one in self.made if one.name == origin.step
        ):
            expected = "best_of a step with runs"
            raise InvalidInput.of(FieldError("from", origin.step, expected))

    def _after(self, given: StepFile, path: str) -> tuple[str, ...]:
        known = list(self._waits_for)
        if given.after is None:
            return tuple(known[-1:])
        for index, name in enumerate(given.after):
            if name not in known:
                remedy = nearest(name, known) or _known("Steps before it", known)
                error = FieldError(f"after.{index}", name, "a step that stands before", remedy)
                self._say(path, error)
        return tuple(dict.fromkeys(name for name in given.after if name in known))

    def _vote(self, given: VoteFile, earlier: set[str], path: str) -> RecipeVote | None:
        steps = {step.name: step for step in self.made if step.name in earlier and step.runs}
        named: dict[str, list[tuple[str, int]]] = {
            name: [(name, index) for index in range(len(step.runs))] for name, step in steps.items()
        }
        runs: dict[str, list[tuple[str, int]]] = {}
        for name, step in steps.items():
            for index, run in enumerate(step.runs):
                if run.name:
                    runs.setdefault(run.name, []).append((name, index))
        voters: list[tuple[str, int]] = []
        preferred = 0
        before = len(self.errors)
        is_complete = not earlier & self._wrong
        for index, name in enumerate(given.of):
            found = named.get(name) or runs.get(name)
            if found is None or (name not in named and len(found) > 1):
                if is_complete:
                    self._say(path, _no_voter(f"of.{index}", name, {**named, **runs}, found))
                continue
            voters += found
        voters = list(dict.fromkeys(voters))
        if given.preferred is not None:
            found = [one for one in runs.get(given.preferred, []) if one in voters]
            if len(found) == 1:
                preferred = voters.index(found[0])
            elif is_complete:
                self._say(path, FieldError("preferred", given.preferred, "a run that votes"))
        if not is_complete or len(self.errors) > before:
            return None
        if not 2 <= len(voters) <= VOTERS_LIMIT:
            expected = f"2 to {VOTERS_LIMIT} runs"
            self._say(path, FieldError("of", len(voters), expected))
            return None
        return RecipeVote(tuple(voters), preferred, given)

    def _say(self, path: str, *errors: FieldError) -> None:
        self.errors += (error.below(path) for error in errors)


def _no_voter(field_name: str, name: str, known: Mapping[str, object], found: object) -> FieldError:
    if found is not None:
        remedy = "Several runs have this name; give them different ones, or name the step."
    else:
        remedy = nearest(name, known) or _known("Known here", known)
    return FieldError(field_name, name, "a run of an earlier step, or such a step", remedy)


def _known(opening: str, names: Any) -> str:
    return f"{opening}: {', '.join(names) or 'none'}."
