"""Saved views of the Runs page: a name for an address."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from store.database import Store
from store.rows import ViewRow
from store.tables import VIEWS
from store.values import is_id
from trainer.errors import NotFound


def save_view(store: Store, name: str, query: str, owner: str) -> ViewRow:
    """Save the query of an address and return what was saved."""
    with store.write() as conn:
        row = conn.execute(
            insert(VIEWS)
            .values(name=name, query=query, owner=owner, created_at=store.clock())
            .returning(*VIEWS.c)
        ).one()
    return ViewRow(**row._mapping)


def list_views(store: Store, limit: int = 200) -> list[ViewRow]:
    """Return the saved views by name."""
    query = select(VIEWS).order_by(VIEWS.c.name, VIEWS.c.id).limit(limit)
    with store.read() as conn:
        return [ViewRow(**row._mapping) for row in conn.execute(query)]


def get_view(store: Store, view_id: int) -> ViewRow:
    """Return a saved view.

    Raises:
        NotFound: If there is none of that id.
    """
    if is_id(view_id):
        with store.read() as conn:
            row = conn.execute(select(VIEWS).where(VIEWS.c.id == view_id)).one_or_none()
        if row is not None:
            return ViewRow(**row._mapping)
    raise _unknown(view_id)


def change_view(
    store: Store, view_id: int, *, name: str | None = None, query: str | None = None
) -> ViewRow:
    """Change what is given and return the view.

    Raises:
        NotFound: If there is none of that id.
    """
    given = {"name": name, "query": query}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        return get_view(store, view_id)
    if is_id(view_id):
        with store.write() as conn:
            row = conn.execute(
                update(VIEWS).where(VIEWS.c.id == view_id).values(**changes).returning(*VIEWS.c)
            ).one_or_none()
        if row is not None:
            return ViewRow(**row._mapping)
    raise _unknown(view_id)


def delete_view(store: Store, view_id: int) -> None:
    """Forget a view; its runs stay.

    Raises:
        NotFound: If there is none of that id.
    """
    if is_id(view_id):
        with store.write() as conn:
            if conn.execute(delete(VIEWS).where(VIEWS.c.id == view_id)).rowcount:
                return
    raise _unknown(view_id)


def _unknown(view_id: int) -> NotFound:
    return NotFound(f"There is no saved view {view_id}.", "The Runs page lists those there are.")
