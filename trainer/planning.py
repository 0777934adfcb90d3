"""From a recipe to what is launched: other data or epochs, small scale, substitutes, seeds.

Whatever is changed says so, in the runs' names and in why their numbers do not compare with those
that were reported. A run that begins with another's spec begins with the changed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainer import catalogue
from trainer.datasets.catalogue import catalogue_entries
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec
from trainer.published import DIFFERENCES_LIMIT, Published
from trainer.recipe_runs import RecipeRun, RunOption, spec_fields
from trainer.recipes import Recipe, RecipeStep, RecipeVote
from trainer.spec import ExperimentSpec
from trainer.steps import OPTIONS_LIMIT, Planned, PlannedRun, PlannedStep, PlannedVote

SEEDS = (1, 20)  # how often a run can be repeated
SMALL_EPOCHS = 2
SMALL_INPUT_PX = 64
SMALL_BATCH = 16
SMALL_IMAGES = {"train_count": 128, "validation_count": 64, "test_count": 64}
SMALL_RULE = (
    f"At small scale every run has at most {SMALL_EPOCHS} epochs, batches of at most "
    f"{SMALL_BATCH}, images of at most {SMALL_INPUT_PX} px where its network takes them, "
    f"{SMALL_IMAGES['train_count']} images to train on and {SMALL_IMAGES['validation_count']} to "
    "validate on, more where there are more classes. It shows that everything works, not what "
    "the study found."
)


@dataclass(frozen=True)
class _Way:
    """How a recipe is launched."""

    dataset: str | None
    epochs: int | None
    small: bool
    substitute: bool


@dataclass(frozen=True)
class _Option:
    """A run that may be launched, and its authors'."""

    planned: Planned
    theirs: ExperimentSpec
    differences: tuple[str, ...]
    substitute: bool


def plan(
    recipe: Recipe,
    *,
    dataset: str | None = None,
    epochs: int | None = None,
    small: bool = False,
    substitute: bool = False,
    seeds: int = 1,
) -> list[PlannedStep]:
    """Return the steps to launch; one without a name for a recipe without steps.

    Args:
        dataset: In place of the recipe's.
        epochs: In place of each run's; stages of unfreezing move in proportion. A run that begins
            with another's spec, and was longer or shorter, keeps that proportion.
        small: By `SMALL_RULE`, so that it runs on a laptop in minutes.
        substitute: Networks whose weights come with a package stand in for those whose weights
            are downloaded.
        seeds: How often every run is repeated, with the seeds after its own. Steps are repeated
            whole: each seed's runs choose among those of the same seed.

    Raises:
        InvalidInput: If a spec does not allow it.
    """
    way = _Way(dataset, epochs, small, substitute)
    planned: list[PlannedStep] = []
    made: dict[str, list[list[_Option]]] = {}
    for step in recipe.steps:
        runs = made[step.name] = []
        for run in step.runs:
            parents = _flat(made[run.origin.step]) if run.origin else []
            runs.append([_option(recipe, run, one, parents, way) for one in run.options])
        planned.append(_planned_step(recipe, step, made))
    if seeds == 1:
        return planned
    total = sum(len(step.options) for step in planned) * seeds
    if recipe.has_steps and total > OPTIONS_LIMIT:
        expected = f"so few that runs may have at most {OPTIONS_LIMIT:,} specs, not {total:,}"
        raise InvalidInput.of(FieldError("seeds", seeds, expected))
    if recipe.has_steps:
        return [_step_with_seed(step, more) for more in range(seeds) for step in planned]
    [runs_only] = planned
    repeated = [_run_with_seed(run, more) for more in range(seeds) for run in runs_only.runs]
    return [replace(runs_only, runs=tuple(repeated))]


def launchable(steps: Sequence[PlannedStep]) -> list[Planned]:
    """Return every run that the steps may launch."""
    return [option for step in steps for option in step.options]


def _planned_step(
    recipe: Recipe, step: RecipeStep, made: dict[str, list[list[_Option]]]
) -> PlannedStep:
    runs = [
        PlannedRun(
            tuple(option.planned for option in options),
            run.origin,
            _changes(options[0], _flat(made[run.origin.step])) if run.origin else (),
        )
        for run, options in zip(step.runs, made[step.name], strict=True)
    ]
    vote = None if step.vote is None else _planned_vote(recipe, step.vote, made)
    return PlannedStep(step.name, step.after, step.when_failed, tuple(runs), vote)


def _planned_vote(
    recipe: Recipe, vote: RecipeVote, made: dict[str, list[list[_Option]]]
) -> PlannedVote:
    options = [made[step][index] for step, index in vote.voters]
    # What differs in each case; what does in one case is known when that is the case.
    differences = [
        text
        for voter in options
        for text in voter[0].differences
        if all(text in option.differences for option in voter)
    ]
    published = None
    if vote.given.reported:
        published = Published(
            recipe=recipe.key or recipe.name,
            reported=vote.given.reported,
            substitute=any(option.substitute for voter in options for option in voter),
            differences=tuple(dict.fromkeys(differences))[:DIFFERENCES_LIMIT],
        )
    return PlannedVote(vote.voters, vote.preferred, vote.given.method, vote.given.split, published)


def _option(
    recipe: Recipe, run: RecipeRun, option: RunOption, parents: Sequence[_Option], way: _Way
) -> _Option:
    parent = None if option.parent is None else parents[option.parent]
    theirs = parse_spec(option.spec)
    data = theirs.model_dump(mode="json")
    marks, differences = [], _lacking(run, theirs)
    stand_in = option.substitute if way.substitute else None
    if stand_in is not None:
        ours = parse_spec({**option.spec, **stand_in})
        data = ours.model_dump(mode="json")
        marks.append("substitute")
        differences.append(f"{ours.model.architecture} in place of {theirs.model.architecture}")
    if way.dataset is not None and way.dataset != theirs.dataset.name:
        data["dataset"]["name"] = way.dataset
        marks.append(f"on {way.dataset}")
        instead = recipe.study_data or theirs.dataset.name
        differences.append(f"dataset {way.dataset} in place of {instead}")
    elif recipe.study_data:
        differences.append(f"dataset {theirs.dataset.name} in place of {recipe.study_data}")
    length = _length(theirs, parent, way)
    if length != theirs.training.epochs:
        _set_epochs(data, length)
        differences.append(f"{length} epochs in place of {theirs.training.epochs}")
    if way.small:
        _make_small(data)
        marks.append("small scale")
        differences.append("small scale")
    data["name"] = ", ".join([theirs.display_name(), *marks])
    published = None
    if run.reported or stand_in is not None:
        published = Published(
            recipe=recipe.key or recipe.name,
            reported=run.reported,
            substitute=stand_in is not None,
            differences=tuple(differences)[:DIFFERENCES_LIMIT],
        )
    planned = Planned(parse_spec(data), published, option.parent)
    return _Option(planned, theirs, tuple(differences), stand_in is not None)


def _lacking(run: RecipeRun, theirs: ExperimentSpec) -> list[str]:
    """Return how far a run is not the authors', in what a choice decides."""
    fields = spec_fields(theirs)
    return [
        f"{path} {fields[path]} in place of {value}"
        for path, value in (run.reported_with or {}).items()
        if fields.get(path) != value
    ]


def _length(theirs: ExperimentSpec, parent: _Option | None, way: _Way) -> int:
    """Return how many epochs a run has."""
    epochs = theirs.training.epochs
    if way.epochs is None:
        return min(SMALL_EPOCHS, epochs) if way.small else epochs
    if parent is None:
        return way.epochs
    share = epochs / parent.theirs.training.epochs
    return max(1, round(parent.planned.spec.training.epochs * share))


def _changes(option: _Option, parents: Sequence[_Option]) -> tuple[str, ...]:
    """Return the fields in which a run differs from the one that it begins with."""
    assert option.planned.parent is not None  # noqa: S101 - it begins with one
    before = spec_fields(parents[option.planned.parent].planned.spec)
    after = spec_fields(option.planned.spec)
    return tuple(
        f"{path} {value}"
        for path, value in after.items()
        if path != "name" and before.get(path) != value
    )


def _flat(runs: Sequence[Sequence[_Option]]) -> list[_Option]:
    return [option for options in runs for option in options]


def _run_with_seed(run: PlannedRun, more: int) -> PlannedRun:
    return replace(run, options=tuple(_with_seed(option, more) for option in run.options))


def _with_seed(run: Planned, more: int) -> Planned:
    data = run.spec.model_dump(mode="json")
    data["training"]["seed"] += more
    data["name"] = f"{run.spec.display_name()}, seed {data['training']['seed']}"
    return replace(run, spec=parse_spec(data))


def _step_with_seed(step: PlannedStep, more: int) -> PlannedStep:
    """Return a step's repetition `more`, which knows only others of that number."""

    def named(name: str) -> str:
        return f"{name}, repetition {more + 1}"

    runs = [_run_with_seed(run, more) for run in step.runs]
    vote = step.vote
    if vote is not None:
        vote = replace(vote, voters=tuple((named(name), place) for name, place in vote.voters))
    return replace(
        step,
        name=named(step.name),
        after=tuple(map(named, step.after)),
        runs=tuple(
            replace(run, origin=replace(run.origin, step=named(run.origin.step)))
            if run.origin
            else run
            for run in runs
        ),
        vote=vote,
    )


def _set_epochs(data: dict[str, Any], epochs: int) -> None:
    before = data["training"]["epochs"]
    for stage in data["freeze"]["schedule"]:
        stage["epoch"] = max(2, 1 + round((stage["epoch"] - 1) * epochs / before))
    data["training"]["epochs"] = epochs


def _make_small(data: dict[str, Any]) -> None:
    spec = ExperimentSpec.model_validate(data)
    entry = catalogue.entry(spec.model.architecture)
    images = data["dataset"]
    usual = images["input_size_px"] or entry.input_size_px
    smallest = entry.smallest_input_px or 0
    if spec.model.auxiliary_weight:
        smallest = max(smallest, entry.auxiliary_smallest_px or 0)
    if not entry.fixed_input_size:
        images["input_size_px"] = min(usual, max(SMALL_INPUT_PX, smallest))
    images["resize_px"] = None
    classes = {known.name: known.classes for known in catalogue_entries()}.get(images["name"], 0)
    images["rest"] = "unused"
    for field, count in SMALL_IMAGES.items():
        if field != "test_count" or images["test_split"] != "none":
            enough = max(count, classes * (2 if field == "train_count" else 1))
            images[field] = min(enough, images[field] or enough)
    images["test_fraction"] = 0.0
    data["training"]["batch_size"] = min(SMALL_BATCH, data["training"]["batch_size"])
