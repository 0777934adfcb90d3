"""Saved comparisons: a name and a note for an address of the Compare page."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from store.database import Store
from store.rows import ComparisonRow
from store.tables import COMPARISONS
from store.values import is_id
from trainer.errors import NotFound


def save_comparison(
    store: Store, name: str, query: str, owner: str, note: str = ""
) -> ComparisonRow:
    """Save the query of an address and return what was saved."""
    with store.write() as conn:
        now = store.clock()
        row = conn.execute(
            insert(COMPARISONS)
            .values(name=name, note=note, owner=owner, query=query, created_at=now, updated_at=now)
            .returning(*COMPARISONS.c)
        ).one()
    return ComparisonRow(**row._mapping)


def get_comparison(store: Store, comparison_id: int) -> ComparisonRow:
    """Return a saved comparison.

    Raises:
        NotFound: If there is none of that id.
    """
    if is_id(comparison_id):
        with store.read() as conn:
            row = conn.execute(
                select(COMPARISONS).where(COMPARISONS.c.id == comparison_id)
            ).one_or_none()
        if row is not None:
            return ComparisonRow(**row._mapping)
    raise _unknown(comparison_id)


def list_comparisons(store: Store, limit: int = 200) -> list[ComparisonRow]:
    """Return the comparisons changed last, newest first."""
    query = select(COMPARISONS).order_by(COMPARISONS.c.updated_at.desc(), COMPARISONS.c.id.desc())
    with store.read() as conn:
        return [ComparisonRow(**row._mapping) for row in conn.execute(query.limit(limit))]


def change_comparison(
    store: Store,
    comparison_id: int,
    *,
    name: str | None = None,
    note: str | None = None,
    query: str | None = None,
) -> ComparisonRow:
    """Change what is given and return the comparison.

    Raises:
        NotFound: If there is none of that id.
    """
    given = {"name": name, "note": note, "query": query}
    changes = {key: value for key, value in given.items() if value is not None}
    if is_id(comparison_id):
        with store.write() as conn:
            row = conn.execute(
                update(COMPARISONS)
                .where(COMPARISONS.c.id == comparison_id)
                .values(**changes, updated_at=store.clock())
                .returning(*COMPARISONS.c)
            ).one_or_none()
        if row is not None:
            return ComparisonRow(**row._mapping)
    raise _unknown(comparison_id)


def delete_comparison(store: Store, comparison_id: int) -> None:
    """Forget a comparison; its runs stay.

    Raises:
        NotFound: If there is none of that id.
    """
    if is_id(comparison_id):
        with store.write() as conn:
            gone = conn.execute(delete(COMPARISONS).where(COMPARISONS.c.id == comparison_id))
        if gone.rowcount:
            return
    raise _unknown(comparison_id)


def _unknown(comparison_id: int) -> NotFound:
    return NotFound(
        f"There is no saved comparison {comparison_id}.", "The Compare page lists those there are."
    )
