"""How well the weights of a run's best epoch did on its splits."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from store.database import Store
from store.rows import EvaluationRow
from store.tables import EVALUATIONS
from store.values import is_id
from trainer.errors import NotFound


def evaluations(store: Store, run_ids: Sequence[int]) -> list[EvaluationRow]:
    """Return the evaluations of those runs, by run and split."""
    query = (
        select(EVALUATIONS)
        .where(EVALUATIONS.c.run_id.in_([number for number in run_ids if is_id(number)]))
        .order_by(EVALUATIONS.c.run_id, EVALUATIONS.c.split.desc())
    )
    with store.read() as conn:
        return [EvaluationRow(**row._mapping) for row in conn.execute(query)]


def evaluation(store: Store, run_id: int, split: str) -> EvaluationRow:
    """Return a run's evaluation on a split.

    Raises:
        NotFound: If there is none.
    """
    for row in evaluations(store, [run_id]):
        if row.split == split:
            return row
    names = {"val": "validation", "test": "test"}
    raise NotFound(
        f"Run {run_id} has no evaluation on {names.get(split, split)} images.",
        "It is written when the run ends.",
    )
