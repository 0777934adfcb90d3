"""What a launch form can be started from: an earlier run, or a run of a recipe.

A base is named by a short token, which the form carries along, so that whatever is posted can be
shown with what changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.forms import typed_values
from store.database import Store
from store.runs import get_run
from store.values import ID_LIMIT
from trainer.errors import NotFound


@dataclass(frozen=True)
class Base:
    """Where a form began."""

    token: str
    """`run:12`."""
    label: str
    """In words, to go on with "Filled in from …"."""
    values: Mapping[str, str]
    """As they would be typed, by dotted path."""
    run_id: int | None = None
    priority: str = "0"


def run_base(store: Store, run_id: int) -> Base:
    """Return an earlier run as a base.

    Raises:
        NotFound: If there is no such run.
    """
    row = get_run(store, run_id)
    return Base(
        token=f"run:{row.id}",
        label=f"run {row.id}, {row.name}",
        values=typed_values(row.spec),
        run_id=row.id,
        priority=str(row.priority),
    )


def find_base(store: Store, token: str) -> Base | None:
    """Return the base that a form names; None where it names none, or one that is gone."""
    kind, _, rest = token.partition(":")
    try:
        if kind == "run" and rest.isdecimal() and 0 < int(rest) <= ID_LIMIT:
            return run_base(store, int(rest))
    except NotFound:
        return None
    return None
