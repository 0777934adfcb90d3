"""The runs' specs field by field, to group and filter by."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from store.database import Store
from store.tables import SPEC_FIELDS

_UNSET = frozenset({"null", "[]", '""'})


def spec_fields(store: Store, run_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return the fields of the runs' specs by dotted path, as texts; unset ones are left out."""
    query = select(SPEC_FIELDS.c.run_id, SPEC_FIELDS.c.path, SPEC_FIELDS.c.text).where(
        SPEC_FIELDS.c.run_id.in_(run_ids)
    )
    found: dict[int, dict[str, str]] = {}
    with store.read() as conn:
        for run_id, path, text in conn.execute(query):
            if text not in _UNSET:
                found.setdefault(run_id, {})[path] = text
    return found
