"""What may be saved as a view of the Runs page: the query of its address."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from app.leaderboard import chosen_columns
from store.database import Store
from store.run_fields import run_fields
from store.run_list import order_of, wanted_runs
from trainer.errors import FieldError, InvalidInput

QUERY_LIMIT = 5_000  # characters
KEPT = frozenset({"status", "dataset", "q", "study", "filter", "sort", "columns", "archived"})
"""Parameters that say what the page shows; its place in the list is none of them."""


def checked_query(store: Store, text: str) -> str:
    """Return the query of a Runs page's address in one form.

    Raises:
        InvalidInput: If the page could not show it.
    """
    text = text.strip().removeprefix("?")
    if len(text) > QUERY_LIMIT:
        raise InvalidInput.of(
            FieldError("query", f"{text[:80]}…", f"at most {QUERY_LIMIT} characters")
        )
    pairs = [(key, value) for key, value in parse_qsl(text) if key in KEPT]
    given = dict(pairs)
    fields = run_fields(store)
    wanted_runs(fields, status=given.get("status"), filter=given.get("filter"))
    order_of(given.get("sort", "-id"), fields)
    chosen_columns([value for key, value in pairs if key == "columns"], fields)
    return urlencode(pairs)


def shown_query(text: str) -> str:
    """Return the part of a Runs page's query that says what is shown, its place in the list too.

    It comes from forms and addresses; whatever else it holds is left out.
    """
    pairs = parse_qsl(text.strip().removeprefix("?"))
    return urlencode([(key, value) for key, value in pairs if key in KEPT | {"cursor"}])
