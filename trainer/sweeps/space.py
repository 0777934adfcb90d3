"""The values that a sweep's fields take: lists and ranges, checked against the spec's fields."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from trainer.errors import FieldError, InvalidInput, nearest
from trainer.parsing import field_errors
from trainer.spec import ExperimentSpec
from trainer.sweeps.file import VALUES_LIMIT, Range

DIGITS = 4
"""Significant digits of a drawn number: enough for training, and short enough to read."""
STEP_DIGITS = 10


@dataclass(frozen=True)
class Axis:
    """One field of a space."""

    path: str
    values: tuple[Any, ...] = ()
    """What it may be; empty for a range without steps."""
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    whole: bool = False
    """Whether the field takes whole numbers only."""

    @property
    def is_finite(self) -> bool:
        """Whether its values can be counted."""
        return bool(self.values)

    def value(self, drawn: float) -> Any:
        """Return the field's value for a place in `values`, or for a number of the range."""
        if self.values:
            return self.values[int(drawn)]
        return int(drawn) if self.whole else float(drawn)

    def draw(self, share: float) -> float:
        """Return the place or number that lies at that share of it, in [0, 1)."""
        if self.values:
            return int(share * len(self.values))
        if self.whole:
            low, high = self.low - 0.5, self.high + 0.5
            found = math.exp(_between(math.log(max(low, 0.5)), math.log(high), share))
            return round(
                min(max(found if self.log else _between(low, high, share), self.low), self.high)
            )
        if self.log:
            number = math.exp(_between(math.log(self.low), math.log(self.high), share))
        else:
            number = _between(self.low, self.high, share)
        return self.rounded(number)

    def rounded(self, number: float) -> float:
        """Return a number of a range without steps as it is used."""
        if self.whole:
            return int(number)
        short = float(f"{number:.{DIGITS}g}")
        return min(max(short, self.low), self.high)


def axes_of(space: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[Axis, ...]:
    """Return the fields of a space, in its order.

    Raises:
        InvalidInput: With `space.PATH` of each field or value that is wrong.
    """
    axes: list[Axis] = []
    errors: list[FieldError] = []
    for path, given in space.items():
        try:
            axes.append(_axis(path, given, base))
        except InvalidInput as problem:
            errors += problem.errors
    for one in space:
        inside = next((path for path in space if path.startswith(f"{one}.")), None)
        if inside is not None:
            expected = f"left out beside `{inside}`, which is a part of it"
            errors.append(FieldError(f"space.{one}", one, expected))
    if errors:
        raise InvalidInput.of(*errors)
    return tuple(axes)


def changed(base: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a spec's data with another value at `path`; a mapping's keys go over what is there."""
    first, _, rest = path.partition(".")
    now = base.get(first)
    if not rest:
        return {**base, first: overlaid(now, value)}
    if isinstance(now, list):
        place, _, inner = rest.partition(".")
        items = list(now)
        if place.isdecimal() and int(place) < len(items):
            old = items[int(place)]
            items[int(place)] = changed(old, inner, value) if inner else overlaid(old, value)
        return {**base, first: items}
    return {**base, first: changed(now if isinstance(now, Mapping) else {}, rest, value)}


def overlaid(below: Any, above: Any) -> Any:
    """Return `above` over `below`: of two mappings every key, of anything else what is above."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {
        key: overlaid(below.get(key), above[key]) if key in above else below[key]
        for key in {**below, **above}
    }


@cache
def field_paths() -> Mapping[str, Any]:
    """Return every field and section of a spec by its path, with its annotation; not the name."""
    found = dict(_paths(ExperimentSpec, ""))
    del found["name"]
    return found


def _paths(model: type[BaseModel], prefix: str) -> Sequence[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, field in model.model_fields.items():
        found.append((f"{prefix}{name}", field.annotation))
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found += _paths(section, f"{prefix}{name}.")
    return found


def _axis(path: str, given: Any, base: Mapping[str, Any]) -> Axis:
    annotation = field_paths().get(path)
    if annotation is None and not _is_item(path, base):
        remedy = nearest(path, field_paths()) or "Such as `optimizer.lr`."
        raise InvalidInput.of(FieldError(f"space.{path}", path, "a field of the spec", remedy))
    if isinstance(given, Mapping) and not set(given) & set(Range.model_fields):
        expected = "a list of values, or a range with `low` and `high`"
        raise InvalidInput.of(FieldError(f"space.{path}", str(given)[:80], expected))
    if isinstance(given, Mapping):
        return _ranged(path, given, annotation)
    if not isinstance(given, list) or not given:
        expected = "a list of values, or a range such as {low: 0.001, high: 0.1, log: true}"
        raise InvalidInput.of(FieldError(f"space.{path}", _said(given), expected))
    if len(given) > VALUES_LIMIT:
        raise InvalidInput.of(
            FieldError(f"space.{path}", f"{len(given)} values", f"at most {VALUES_LIMIT} values")
        )
    for place, value in enumerate(given):
        if value in given[:place] and type(value) is type(given[given.index(value)]):
            field = f"space.{path}.{place}"
            raise InvalidInput.of(FieldError(field, _said(value), "a value given once"))
    return Axis(path, tuple(given))


def _ranged(path: str, given: Mapping[str, Any], annotation: Any) -> Axis:
    try:
        said = Range.model_validate(dict(given))
    except ValidationError as error:
        raise InvalidInput.of(
            *(one.below(f"space.{path}") for one in field_errors(error, Range))
        ) from error
    kinds = _kinds(annotation)
    if annotation is not None and not {int, float} & kinds:
        raise InvalidInput.of(
            FieldError(f"space.{path}", "a range", "a list of values; this field is no number")
        )
    ends = (said.low, said.high, said.step or 0.0)
    is_whole = all(end.is_integer() for end in ends)
    whole = is_whole if annotation is None else float not in kinds
    if whole and not is_whole:
        raise InvalidInput.of(
            FieldError(f"space.{path}", _said(dict(given)), "a range of whole numbers")
        )
    values = _steps(said, whole)
    if len(values) > VALUES_LIMIT:
        expected = f"at most {VALUES_LIMIT} values"
        raise InvalidInput.of(FieldError(f"space.{path}.step", said.step, expected))
    return Axis(path, values, said.low, said.high, said.log, said.step, whole)


def _steps(said: Range, whole: bool) -> tuple[Any, ...]:
    """Return the values of a range that has steps or a count; none of another."""
    if said.step is not None:
        total = int((said.high - said.low) / said.step + 1e-9) + 1
        numbers = [said.low + index * said.step for index in range(min(total, VALUES_LIMIT + 1))]
        numbers = [float(f"{number:.{STEP_DIGITS}g}") for number in numbers]
    elif said.count is not None:
        shares = [index / (said.count - 1) for index in range(said.count)]
        if said.log:
            low, high = math.log(said.low), math.log(said.high)
            numbers = [math.exp(_between(low, high, share)) for share in shares]
        else:
            numbers = [_between(said.low, said.high, share) for share in shares]
        numbers = [float(f"{number:.{DIGITS}g}") for number in numbers]
        numbers[0], numbers[-1] = said.low, said.high
    else:
        return ()
    if whole:
        return tuple(dict.fromkeys(round(number) for number in numbers))
    return tuple(dict.fromkeys(numbers))


def _is_item(path: str, base: Any) -> bool:
    """Return whether a path leads to a part of a list that the base has."""
    inside_list = False
    for part in path.split("."):
        if isinstance(base, list):
            if not (part.isdecimal() and int(part) < len(base)):
                return False
            inside_list, base = True, base[int(part)]
        elif isinstance(base, Mapping) and (inside_list or part in base):
            base = base.get(part, {})
        else:
            return False
    return inside_list


def _kinds(annotation: Any) -> set[Any]:
    """Return the plain types that a field takes."""
    inner = get_args(annotation)
    return {annotation} if not inner else set().union(*(_kinds(one) for one in inner))


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def _said(value: object) -> object:
    return value if isinstance(value, bool | int | float) or value is None else str(value)[:80]
