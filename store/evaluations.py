"""How well the weights of a run's best epoch did on its splits."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from store.database import Store
from store.rows import EvaluationRow
from store.tables import EVALUATIONS
from store.values import is_id


def evaluations(store: Store, run_ids: Sequence[int]) -> list[EvaluationRow]:
    """Return the evaluations of those runs, by run and split."""
    query = (
        select(EVALUATIONS)
        .where(EVALUATIONS.c.run_id.in_([number for number in run_ids if is_id(number)]))
        .order_by(EVALUATIONS.c.run_id, EVALUATIONS.c.split.desc())
    )
    with store.read() as conn:
        return [EvaluationRow(**row._mapping) for row in conn.execute(query)]
