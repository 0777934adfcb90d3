"""The runs of a recipe: every spec that each may have, out of the file's own words.

A run that begins with the best of an earlier step has an option for every run of that step: the
spec of that run, with its own keys merged over it, as a run's keys are over the common ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field, ValidationError

from trainer.errors import FieldError, InvalidInput
from trainer.parsing import field_errors, parse_spec
from trainer.published import Reported
from trainer.section import Section
from trainer.spec import ExperimentSpec, flat_fields
from trainer.steps import BestOf, parse_best_of

NAME_LIMIT = 200


class RunExtras(Section):
    """The keys of a run in a recipe's file that are not a spec's."""

    origin: str | None = Field(None, alias="from", min_length=1, max_length=300)
    reported: tuple[Reported, ...] = Field((), max_length=20)
    reported_with: dict[str, Any] = Field(
        default_factory=dict,
        description="What the authors' run had; where ours has not, the numbers do not compare.",
    )
    substitute: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class RunOption:
    """A spec that a run of a recipe may have, as its authors did it."""

    spec: dict[str, Any]
    """As JSON."""
    substitute: dict[str, Any] | None
    """Sections that replace the spec's own; None where nothing stands in for its weights."""
    parent: int | None = None
    """Which option of the step that it begins with; None of a run that begins with none."""

    @property
    def name(self) -> str:
        """The name of the run that it would be."""
        return parse_spec(self.spec).display_name()


@dataclass(frozen=True)
class RecipeRun:
    """A run of a recipe."""

    spec: dict[str, Any]
    """As JSON; of a run that begins with another's, what it changes."""
    options: tuple[RunOption, ...]
    """One, of `spec`, for a run that begins with no other."""
    reported: tuple[Reported, ...] = ()
    reported_with: Mapping[str, Any] | None = None
    """Fields of the spec, by path, that a run comparable with what was reported must have."""
    origin: BestOf | None = None

    @property
    def name(self) -> str:
        """The name that it has whatever is chosen; empty where that decides it."""
        names = {option.name for option in self.options}
        return names.pop() if len(names) == 1 else ""

    @property
    def is_substitutable(self) -> bool:
        """Whether another network can stand in for one whose weights are downloaded."""
        return any(option.substitute is not None for option in self.options)


@dataclass(frozen=True)
class Common:
    """What a recipe's file says of all of its runs."""

    dataset: str | None
    sections: Mapping[str, Any]
    substitute: Mapping[str, str]


def split_extras(given: Mapping[str, Any]) -> tuple[dict[str, Any], RunExtras]:
    """Return a run's own sections, and the keys that are not a spec's.

    Raises:
        InvalidInput: If one of those is wrong.
    """
    known = {field.alias or name for name, field in RunExtras.model_fields.items()}
    try:
        extras = RunExtras.model_validate({key: given[key] for key in given if key in known})
    except ValidationError as error:
        raise InvalidInput.of(*field_errors(error, RunExtras)) from error
    return {key: given[key] for key in given if key not in known}, extras


def first_run(common: Common, own: Mapping[str, Any], extras: RunExtras) -> RecipeRun:
    """Return a run that begins with no other.

    Raises:
        InvalidInput: With the path of each wrong field.
    """
    keys = {**common.sections, **own}
    spec = {key: merged(common.sections.get(key), own.get(key)) for key in keys}
    if common.dataset is not None:
        spec["dataset"] = merged({"name": common.dataset}, spec.get("dataset"))
    option = _option(common, spec, extras.substitute)
    return RecipeRun(spec, (option,), extras.reported, _reported_with(extras, option))


def later_run(
    common: Common,
    own: Mapping[str, Any],
    extras: RunExtras,
    origin: BestOf,
    parents: Sequence[RunOption],
    step: str,
) -> RecipeRun:
    """Return a run of `step` that begins with the best of `parents`.

    Raises:
        InvalidInput: With the path of each wrong field, and with which parent it is wrong.
    """
    options: list[RunOption] = []
    errors: dict[tuple[str, str], FieldError] = {}
    for place, parent in enumerate(parents):
        spec = {key: merged(parent.spec.get(key), own.get(key)) for key in {**parent.spec, **own}}
        if "name" not in own:
            spec["name"] = f"{parent.name}, {step}"[:NAME_LIMIT]
        stand_in = {
            key: merged(section, own.get(key)) for key, section in (parent.substitute or {}).items()
        }
        try:
            option = _option(common, spec, extras.substitute, stand_in)
            _reported_with(extras, option)
            options.append(replace(option, parent=place))
        except InvalidInput as problem:
            for error in problem.errors:
                remedy = f"{error.remedy} That is with the spec of `{parent.name}`.".strip()
                errors.setdefault((error.field, error.expected), replace(error, remedy=remedy))
    if errors:
        raise InvalidInput.of(*errors.values())
    wanted = _reported_with(extras, options[0])
    return RecipeRun(dict(own), tuple(options), extras.reported, wanted, origin)


def origin_of(extras: RunExtras) -> BestOf | None:
    """Return what a run begins with; None where that is nothing.

    Raises:
        InvalidInput: If it is not said as it has to be.
    """
    return None if extras.origin is None else parse_best_of(extras.origin)


def merged(common: Any, own: Any) -> Any:
    """Return a section of a spec: a mapping's own keys win over those that it begins with."""
    if isinstance(common, Mapping) and isinstance(own, Mapping):
        return {**common, **own}
    return common if own is None else own


def _option(
    common: Common,
    spec: dict[str, Any],
    substitute: Mapping[str, Any],
    inherited: Mapping[str, Any] | None = None,
) -> RunOption:
    parsed = parse_spec(spec)
    replaced: dict[str, Any] | None = None
    if parsed.model.weights == "default":
        stand_in = common.substitute.get(parsed.model.architecture)
        sections = {**(inherited or {}), **substitute}
        if "model" in sections:
            replaced = sections
        elif stand_in is not None:
            model = {**spec.get("model", {}), "architecture": stand_in, "weights": "package"}
            replaced = {"model": model, **sections}
    if substitute and replaced is None:
        raise InvalidInput.of(
            FieldError(
                "substitute",
                ", ".join(substitute),
                "left out, or with a `model`, in a run whose network nothing stands in for",
                "Name the network's stand-in in the recipe's own `substitute`.",
            )
        )
    if replaced is not None:
        parse_spec({**spec, **replaced})
    return RunOption(spec, replaced)


def _reported_with(extras: RunExtras, option: RunOption) -> dict[str, Any] | None:
    """Return the fields that the authors' run had, by path.

    Raises:
        InvalidInput: If a spec has no such field.
    """
    wanted = flat_fields(extras.reported_with)
    known = spec_fields(parse_spec(option.spec))
    errors = [
        FieldError(f"reported_with.{path}", value, "a field of the spec")
        for path, value in wanted.items()
        if path not in known
    ]
    if errors:
        raise InvalidInput.of(*errors)
    return wanted or None


def spec_fields(spec: ExperimentSpec) -> dict[str, Any]:
    """Return a spec's fields by path, as JSON holds them."""
    return flat_fields(spec.model_dump(mode="json"))
