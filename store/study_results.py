"""What came of the runs of studies, in a few columns: enough to sort, count and draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from store.database import Store
from store.tables import METRIC_SUMMARIES, RUNS

RESULT = "val_accuracy"
"""What members are compared by: the best epoch's accuracy on the validation images."""


@dataclass(frozen=True)
class Member:
    """A run of a study; `accuracy` is the best of its epochs on the validation images."""

    study_id: int
    run_id: int
    name: str
    status: str
    finished_at: float | None
    accuracy: float | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.finished_at is not None


def members(store: Store, study_id: int) -> list[Member]:
    """Return a study's runs, in order of creation."""
    with store.read() as conn:
        return members_of(conn, study_id)


def members_of(conn: Connection, study_id: int) -> list[Member]:
    """Return a study's runs within the caller's transaction."""
    return _members(conn, [study_id])


def best_by_study(store: Store, study_ids: Sequence[int]) -> dict[int, Member]:
    """Return the best run so far of each of these studies that has one."""
    with store.read() as conn:
        found = _members(conn, study_ids)
    by_study: dict[int, list[Member]] = {}
    for member in found:
        by_study.setdefault(member.study_id, []).append(member)
    best = {study_id: best_of(own) for study_id, own in by_study.items()}
    return {study_id: member for study_id, member in best.items() if member is not None}


def best_of(found: Iterable[Member]) -> Member | None:
    """Return the most accurate run, the oldest of equally good ones; None without a result."""
    known = [member for member in found if member.accuracy is not None]
    return max(known, key=lambda one: (one.accuracy or 0.0, -one.run_id), default=None)


def _members(conn: Connection, study_ids: Sequence[int]) -> list[Member]:
    result = and_(METRIC_SUMMARIES.c.run_id == RUNS.c.id, METRIC_SUMMARIES.c.name == RESULT)
    query = (
        select(
            RUNS.c.study_id,
            RUNS.c.id.label("run_id"),
            RUNS.c.name,
            RUNS.c.status,
            RUNS.c.finished_at,
            METRIC_SUMMARIES.c.best.label("accuracy"),
        )
        .select_from(RUNS.outerjoin(METRIC_SUMMARIES, result))
        .where(RUNS.c.study_id.in_(study_ids))
        .order_by(RUNS.c.id)
    )
    return [Member(**row._mapping) for row in conn.execute(query)]
