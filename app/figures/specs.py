"""What differs in the specs of several runs, by section, against one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from app.figures.compare import SpecDifference


@dataclass(frozen=True)
class SpecCell:
    """A run's value of a field."""

    value: str
    """Empty where the spec leaves the field unset."""
    differs: bool
    """Whether the run that the others are held against has another value."""


@dataclass(frozen=True)
class SpecLine:
    """A field that is not the same in all specs."""

    path: str
    field: str
    """The path within its section."""
    cells: tuple[SpecCell, ...]


@dataclass(frozen=True)
class SpecGroup:
    """A section's fields."""

    section: str
    lines: tuple[SpecLine, ...]


def spec_groups(differences: Sequence[SpecDifference], reference: int = 0) -> tuple[SpecGroup, ...]:
    """Return the fields by section, in the spec's order.

    Args:
        reference: Place of the run whose values the others are held against.
    """
    lines = [
        SpecLine(
            found.path,
            found.path.partition(".")[2] or found.path,
            tuple(SpecCell(value, value != found.values[reference]) for value in found.values),
        )
        for found in differences
    ]

    def section(line: SpecLine) -> str:
        return line.path.partition(".")[0] if "." in line.path else "run"

    order = list(dict.fromkeys(map(section, lines)))
    lines.sort(key=lambda line: order.index(section(line)))
    return tuple(SpecGroup(name, tuple(own)) for name, own in groupby(lines, section))
