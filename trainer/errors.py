"""The errors every room shares: what was expected, what came, and the remedy.

Kept in the trainer because nothing of ours stands below it; the rooms above raise and render
the same classes, so that the page, the API and the command line tell one story.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one field of what was sent."""

    field: str
    """Dotted path of the field, for example ``optimizer.lr``; empty for the whole input."""
    value: Any
    """What came, as JSON would hold it."""
    expected: str
    """What would have been right, in words."""
    remedy: str = ""
    """What to do about it; empty where `expected` already says so."""

    def __str__(self) -> str:
        where = f"`{self.field}`" if self.field else "the input"
        text = f"Expected {where} to be {self.expected}, got {self.value!r}."
        return f"{text} {self.remedy}".rstrip()

    def below(self, path: str) -> FieldError:
        """Return the error as one of what lies at `path`, such as `runs.0`."""
        return replace(self, field=f"{path}.{self.field}".strip("."))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the sentence as one JSON object."""
        return {**asdict(self), "message": str(self)}


class TuneboardError(Exception):
    """Something went wrong that a person can act on."""

    title = "Something went wrong"
    status = 500

    def __init__(self, detail: str, remedy: str = "", errors: Iterable[FieldError] = ()) -> None:
        self.detail = detail
        self.remedy = remedy
        self.errors = tuple(errors)
        super().__init__(f"{detail} {remedy}".rstrip())


class InvalidInput(TuneboardError):
    """What was sent cannot be used; `errors` names each field."""

    title = "Invalid input"
    status = 422

    @classmethod
    def of(cls, *errors: FieldError) -> InvalidInput:
        """Build the error from its field errors."""
        return cls(" ".join(str(error) for error in errors), errors=errors)


class NotFound(TuneboardError):
    """The thing asked for does not exist."""

    title = "Not found"
    status = 404


class Conflict(TuneboardError):
    """The thing exists but is in a state that forbids what was asked."""

    title = "Conflict"
    status = 409


class RunFailure(TuneboardError):
    """A run cannot go on, for a reason its user can mend."""

    title = "The run failed"

    def __init__(self, title: str, detail: str, remedy: str = "") -> None:
        super().__init__(detail, remedy)
        self.title = title


def nearest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return a remedy naming the known names nearest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=limit, cutoff=0.5)
    if not close:
        return ""
    return "Did you mean " + " or ".join(f"`{candidate}`" for candidate in close) + "?"
