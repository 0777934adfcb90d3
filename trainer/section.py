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


def refuse_strangers(section: Section, choice: str, owners: dict[str, tuple[str, ...]]) -> None:
    """Refuse fields that are given though the section's choice has no use for them.

    Args:
        section: Its field `name` holds the choice.
        choice: Dotted path of that field, for the message.
        owners: Field → the choices that take it; a field counts as given unless None or empty.
    """
    chosen = getattr(section, "name")  # noqa: B009 (each section has its own literal type)
    for field, takers in owners.items():
        value = getattr(section, field)
        if chosen not in takers and value is not None and value is not False and value != ():
            raise field_problem(
                field,
                list(value) if isinstance(value, tuple) else value,
                f"left out for `{choice}: {chosen}`",
                f"Only {' and '.join(takers)} {'take' if len(takers) > 1 else 'takes'} it.",
            )
