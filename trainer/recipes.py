"""Recipes: studies of several runs as YAML, and what their authors reported.

A recipe is a mapping with the keys of `RecipeFile`; each of its runs is a spec, to which the
recipe's `common` sections and its dataset are added, beside what the authors reported of it and
what replaces its sections where its weights cannot be downloaded. `plan` turns a recipe into the
specs to launch. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from trainer import catalogue
from trainer.datasets.catalogue import catalogue_entries
from trainer.errors import FieldError, InvalidInput, NotFound, nearest
from trainer.parsing import field_errors, parse_spec, yaml_data
from trainer.section import Section
from trainer.spec import ExperimentSpec

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
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

Metric = Literal[
    "best_val_accuracy",
    "final_val_accuracy",
    "final_val_loss",
    "train_accuracy",
    "train_loss",
    "test_accuracy",
    "accuracy",
    "training_s",
]
METRIC_WORDS: Mapping[Metric, str] = {
    "best_val_accuracy": "best validation accuracy",
    "final_val_accuracy": "final validation accuracy",
    "final_val_loss": "final validation loss",
    "train_accuracy": "training accuracy",
    "train_loss": "training loss",
    "test_accuracy": "test accuracy",
    "accuracy": "accuracy (of which images is not told)",
    "training_s": "wall clock in seconds",
}


class Reported(Section):
    """One number that a study's authors published of a run."""

    metric: Metric
    value: float
    kind: Literal["measured", "approximate", "forecast"]
    device: str = Field("", max_length=100, description="Empty where the authors do not say.")

    def words(self) -> str:
        """Return the number, what it is and where it was taken, as people read it."""
        shown = f"{self.value:.2%}" if self.metric.endswith("accuracy") else f"{self.value:g}"
        device = self.device or "device not told"
        return f"{METRIC_WORDS[self.metric]} {shown} ({self.kind}, {device})"


class Published(Section):
    """What travels with a run of a recipe: the authors' numbers, and how far it is their run."""

    recipe: str = Field("", max_length=200)
    reported: tuple[Reported, ...] = Field((), max_length=20)
    substitute: bool = Field(
        False, description="Whether another network or other weights stand in for the study's."
    )
    differences: tuple[str, ...] = Field(
        (), max_length=20, description="Why the numbers are not comparable; empty: they are."
    )

    @property
    def comparable(self) -> bool:
        """Whether the reported numbers may stand beside measured ones."""
        return bool(self.reported) and not self.substitute and not self.differences

    def lines(self) -> tuple[str, ...]:
        """Return what is to be shown beside the run's own numbers, a line each."""
        numbers = tuple(one.words() for one in self.reported)
        if self.comparable:
            return numbers
        why = "; ".join(self.differences) or "nothing was reported"
        opening = "Substitute: " if self.substitute else ""
        if not numbers:
            return (f"{opening}{why}.",)
        return (f"{opening}not comparable with what was reported: {why}.",)


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
        default_factory=dict, description="Sections of a spec that all runs begin with."
    )
    substitute: dict[str, str] = Field(
        default_factory=dict,
        description="Architecture → the one with weights in a package that can stand in for it.",
    )
    runs: list[dict[str, Any]] = Field(min_length=1, max_length=1_000)


class _Extras(Section):
    """The keys of a run in a recipe's file that are not a spec's."""

    reported: tuple[Reported, ...] = Field((), max_length=20)
    substitute: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class RecipeRun:
    """A run of a recipe, as its authors did it."""

    spec: dict[str, Any]
    """As JSON."""
    reported: tuple[Reported, ...]
    substitute: dict[str, Any] | None
    """Sections that replace the spec's own; None where nothing stands in for its weights."""


@dataclass(frozen=True)
class Recipe:
    """A study to launch."""

    name: str
    note: str
    dataset: str | None
    study_data: str
    runs: tuple[RecipeRun, ...]
    key: str = ""
    """The name of its file, by which it is asked for; empty for a recipe of somebody's own."""

    @property
    def specs(self) -> tuple[dict[str, Any], ...]:
        """The runs' specs as JSON, as the authors did them."""
        return tuple(run.spec for run in self.runs)


@dataclass(frozen=True)
class Planned:
    """A run to launch."""

    spec: ExperimentSpec
    published: Published | None
    """None where its authors reported nothing and nothing stands in for anything."""


def as_recipe(data: Mapping[str, Any], key: str = "") -> Recipe:
    """Return the recipe that `data` describes, each of its specs checked.

    Raises:
        InvalidInput: With the path of each wrong field, such as `runs.0.optimizer.lr`.
    """
    try:
        file = RecipeFile.model_validate(data)
    except ValidationError as error:
        raise InvalidInput.of(*field_errors(error, RecipeFile)) from error
    runs: list[RecipeRun] = []
    errors: list[FieldError] = []
    for index, given in enumerate(file.runs):
        try:
            runs.append(_recipe_run(file, given))
        except InvalidInput as problem:
            errors += [
                FieldError(f"runs.{index}.{e.field}".rstrip("."), e.value, e.expected, e.remedy)
                for e in problem.errors
            ]
    if errors:
        raise InvalidInput.of(*errors)
    return Recipe(file.name, file.note, file.dataset, file.study_data, tuple(runs), key)


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


def plan(
    recipe: Recipe,
    *,
    dataset: str | None = None,
    epochs: int | None = None,
    small: bool = False,
    substitute: bool = False,
    seeds: int = 1,
) -> list[Planned]:
    """Return the runs to launch.

    Args:
        dataset: In place of the recipe's.
        epochs: In place of each run's; stages of unfreezing move in proportion.
        small: By `SMALL_RULE`, so that it runs on a laptop in minutes.
        substitute: Networks whose weights come with a package stand in for those whose weights
            are downloaded.
        seeds: How often every run is repeated, with the seeds after its own.

    Raises:
        InvalidInput: If a spec does not allow it.
    """
    planned = [
        _planned(recipe, run, dataset=dataset, epochs=epochs, small=small, substitute=substitute)
        for run in recipe.runs
    ]
    if seeds == 1:
        return planned
    return [_with_seed(run, more) for more in range(seeds) for run in planned]


def _with_seed(run: Planned, more: int) -> Planned:
    data = run.spec.model_dump(mode="json")
    data["training"]["seed"] += more
    data["name"] = f"{run.spec.display_name()}, seed {data['training']['seed']}"
    return Planned(parse_spec(data), run.published)


def _recipe_run(file: RecipeFile, given: dict[str, Any]) -> RecipeRun:
    own = {key: given[key] for key in given if key not in _Extras.model_fields}
    try:
        extras = _Extras.model_validate({key: given[key] for key in given if key not in own})
    except ValidationError as error:
        raise InvalidInput.of(*field_errors(error, _Extras)) from error
    spec = {key: _section(file.common.get(key), own.get(key)) for key in {**file.common, **own}}
    if file.dataset is not None:
        spec["dataset"] = _section({"name": file.dataset}, spec.get("dataset"))
    parsed = parse_spec(spec)
    replaced: dict[str, Any] | None = None
    if parsed.model.weights == "default":
        stand_in = file.substitute.get(parsed.model.architecture)
        if "model" in extras.substitute:
            replaced = extras.substitute
        elif stand_in is not None:
            model = {**spec.get("model", {}), "architecture": stand_in, "weights": "package"}
            replaced = {"model": model, **extras.substitute}
    if extras.substitute and replaced is None:
        raise InvalidInput.of(
            FieldError(
                "substitute",
                ", ".join(extras.substitute),
                "left out, or with a `model`, in a run whose network nothing stands in for",
                "Name the network's stand-in in the recipe's own `substitute`.",
            )
        )
    if replaced is not None:
        parse_spec({**spec, **replaced})
    return RecipeRun(spec, extras.reported, replaced)


def _section(common: Any, own: Any) -> Any:
    """Return a section of a spec: a mapping's own keys win over those of all runs."""
    if isinstance(common, Mapping) and isinstance(own, Mapping):
        return {**common, **own}
    return common if own is None else own


def _planned(
    recipe: Recipe,
    run: RecipeRun,
    *,
    dataset: str | None,
    epochs: int | None,
    small: bool,
    substitute: bool,
) -> Planned:
    theirs = parse_spec(run.spec)
    data = theirs.model_dump(mode="json")
    marks, differences = [], []
    stand_in = run.substitute if substitute else None
    if stand_in is not None:
        ours = parse_spec({**run.spec, **stand_in})
        data = ours.model_dump(mode="json")
        marks.append("substitute")
        differences.append(f"{ours.model.architecture} in place of {theirs.model.architecture}")
    if dataset is not None and dataset != theirs.dataset.name:
        data["dataset"]["name"] = dataset
        marks.append(f"on {dataset}")
        differences.append(f"dataset {dataset} in place of {recipe.study_data or recipe.dataset}")
    elif recipe.study_data:
        differences.append(f"dataset {theirs.dataset.name} in place of {recipe.study_data}")
    length = epochs or (min(SMALL_EPOCHS, theirs.training.epochs) if small else None)
    if length is not None and length != theirs.training.epochs:
        _set_epochs(data, length)
        differences.append(f"{length} epochs in place of {theirs.training.epochs}")
    if small:
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
            differences=tuple(differences),
        )
    return Planned(parse_spec(data), published)


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
