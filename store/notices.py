"""What has ended lately, for the notices that pages show."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from store.database import Store
from store.rows import TERMINAL_STATUSES
from store.study_tables import STUDIES
from store.tables import RUNS

RUNS_LISTED = 40
STUDIES_LISTED = 20


@dataclass(frozen=True)
class Ended:
    """A run or a study that has ended."""

    kind: str
    """run or study."""
    id: int
    name: str
    owner: str
    how: str
    """A run's status; ended or stopped, of a study."""
    at: float
    study_id: int | None
    """Of a run."""


def ended_lately(store: Store) -> list[Ended]:
    """Return the runs and studies that ended last, newest first among each."""
    runs = (
        select(
            RUNS.c.id,
            RUNS.c.name,
            RUNS.c.owner,
            RUNS.c.status.label("how"),
            RUNS.c.finished_at.label("at"),
            RUNS.c.study_id,
        )
        .where(RUNS.c.finished_at.is_not(None), RUNS.c.status.in_(TERMINAL_STATUSES))
        .order_by(RUNS.c.finished_at.desc())
        .limit(RUNS_LISTED)
    )
    studies = (
        select(
            STUDIES.c.id, STUDIES.c.name, STUDIES.c.owner, STUDIES.c.ended_at, STUDIES.c.stopped_at
        )
        .where(STUDIES.c.ended_at.is_not(None))
        .order_by(STUDIES.c.ended_at.desc())
        .limit(STUDIES_LISTED)
    )
    with store.read() as conn:
        found = [Ended(kind="run", **row._mapping) for row in conn.execute(runs)]
        for row in conn.execute(studies):
            how = "ended" if row.stopped_at is None else "stopped"
            found.append(Ended("study", row.id, row.name, row.owner, how, row.ended_at, None))
    return found
