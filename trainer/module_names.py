"""Names of an architecture's modules in what is said of a spec. Nothing here imports torch."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

from trainer.errors import nearest
from trainer.section import field_problem


def unknown_module(
    field: str, value: str, architecture: str, known: tuple[str, ...]
) -> PydanticCustomError:
    """Return an error about a module's name that the architecture does not know."""
    tops = tuple(name for name in known if "." not in name)
    return field_problem(
        field,
        value,
        f"the name of a module of `{architecture}`",
        nearest(value, known) or f"Its children are {listed(tops)}.",
    )


def listed(names: tuple[str, ...], shown: int = 20) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
