"""What may be saved as a comparison: a name, a note and the query of the page's address."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from app.figures.compare import RUNS_LIMIT
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput

NAME_LIMIT = 200  # characters, as of a study
NOTE_LIMIT = 10_000
QUERY_LIMIT = 20_000
NOT_SAVED = frozenset({"saved", "find", "study"})
"""Parameters that say nothing about what the page shows."""


def checked_query(text: str) -> str:
    """Return the query of a Compare page's address in one form.

    Raises:
        InvalidInput: If it names no run, too many, or something that is none.
    """
    text = text.strip().removeprefix("?")
    if len(text) > QUERY_LIMIT:
        raise InvalidInput.of(
            FieldError("query", f"{text[:80]}…", f"at most {QUERY_LIMIT} characters")
        )
    pairs = [
        (key, value)
        for key, value in parse_qsl(text, keep_blank_values=True)
        if key not in NOT_SAVED
    ]
    runs = [value for key, value in pairs if key == "run"]
    for value in runs:
        if not (value.isascii() and value.isdecimal() and 1 <= int(value[:11]) <= ID_LIMIT):
            raise InvalidInput.of(FieldError("query", f"run={value[:80]}", "the number of a run"))
    if not 1 <= len(runs) <= RUNS_LIMIT:
        raise InvalidInput.of(
            FieldError(
                "query",
                f"{len(runs)} runs",
                f"the query of a comparison of 1 to {RUNS_LIMIT} runs, such as run=1&run=2",
            )
        )
    return urlencode(pairs)


def checked_name(text: str) -> str:
    """Return a comparison's name without space around it.

    Raises:
        InvalidInput: If it is empty or too long.
    """
    name = " ".join(text.split())
    if not 1 <= len(name) <= NAME_LIMIT:
        raise InvalidInput.of(FieldError("name", name[:80], f"1 to {NAME_LIMIT} characters"))
    return name


def checked_note(text: str) -> str:
    """Return a comparison's note without space around it.

    Raises:
        InvalidInput: If it is too long.
    """
    note = text.strip()
    if len(note) > NOTE_LIMIT:
        raise InvalidInput.of(
            FieldError("note", f"{note[:80]}…", f"at most {NOTE_LIMIT} characters")
        )
    return note


def run_count(query: str) -> int:
    """Return how many runs a saved query names."""
    return sum(key == "run" for key, _ in parse_qsl(query))
