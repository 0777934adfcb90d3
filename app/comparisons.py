"""What may be saved as a comparison: the query of the page's address."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from app.figures.compare import RUNS_LIMIT
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput

QUERY_LIMIT = 20_000  # characters
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


def run_count(query: str) -> int:
    """Return how many runs a saved query names."""
    return sum(key == "run" for key, _ in parse_qsl(query))
