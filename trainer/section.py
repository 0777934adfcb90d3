"""What all sections of a spec share: how strict they are, and how they say what is wrong."""

from __future__ import annotations

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
