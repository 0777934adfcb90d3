"""What all sections of a spec share: how strict they are, and how they say what is wrong."""

from __future__ import annotations

import yaml
from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A part of a spec: unknown keys, infinities and later changes are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def field_problem(field: str, value: object, expected: str, remedy: str) -> PydanticCustomError:
    """Return an error about a field below the section whose validator raises it."""
    return PydanticCustomError(
        "tuneboard",
        "{expected}",
        {"field": field, "value": value, "expected": expected, "remedy": remedy},
    )


def yaml_list(value: object, what: str, example: str) -> object:
    """Return a list that the form sends as YAML text; anything but text as it is.

    Args:
        value: As it came.
        what: Of what it should be a list, in the plural.
        example: Such a list.
    """
    if not isinstance(value, str):
        return value
    try:
        read = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PydanticCustomError(
            "tuneboard",
            "{expected}",
            {"expected": f"a YAML list of {what}", "remedy": f"For example {example}."},
        ) from error
    return () if read is None else read
