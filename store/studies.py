"""Studies: runs launched together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from store.database import Store
from store.rows import StudyRow
from store.runs import add_run
from store.steps import add_steps, steps_of
from store.tables import RUNS, STUDIES
from store.values import is_id
from trainer.errors import NotFound
from trainer.published import Published
from trainer.spec import ExperimentSpec
from trainer.steps import PlannedStep


def create_study(
    store: Store,
    name: str,
    owner: str,
    specs: Sequence[ExperimentSpec] = (),
    note: str = "",
    *,
    priority: int = 0,
    published: Sequence[Published | None] = (),
    steps: Sequence[PlannedStep] = (),
) -> StudyRow:
    """Create a study and queue a run for each spec, or its first steps' runs; all or nothing.

    Args:
        published: What was reported of each run; empty: of none.
        steps: In place of `specs`.
    """
    with store.write() as conn:
        row = conn.execute(
            insert(STUDIES)
            .values(name=name, owner=owner, note=note, created_at=store.clock())
            .returning(*STUDIES.c)
        ).one()
        for spec, known in zip(specs, published or [None] * len(specs), strict=True):
            add_run(
                conn,
                store,
                spec,
                owner=owner,
                study_id=row.id,
                priority=priority,
                published=known,
            )
        if steps:
            add_steps(conn, store, row.id, steps, owner=owner, priority=priority)
        return _whole(conn, select(STUDIES).where(STUDIES.c.id == row.id))[0]


def get_study(store: Store, study_id: int) -> StudyRow:
    """Return a study with its runs' ids, how many are in which status, and its steps.

    Raises:
        NotFound: If there is none of that id.
    """
    if is_id(study_id):
        with store.read() as conn:
            found = _whole(conn, select(STUDIES).where(STUDIES.c.id == study_id))
        if found:
            return found[0]
    raise NotFound(f"There is no study {study_id}.")


def list_studies(store: Store, limit: int = 100) -> list[StudyRow]:
    """Return the newest studies, newest first."""
    with store.read() as conn:
        return _whole(conn, select(STUDIES).order_by(STUDIES.c.id.desc()).limit(limit))


def _whole(conn: Connection, query: Any) -> list[StudyRow]:
    studies = conn.execute(query).all()
    members: dict[int, list[tuple[int, str]]] = {row.id: [] for row in studies}
    for study_id, run_id, status in conn.execute(
        select(RUNS.c.study_id, RUNS.c.id, RUNS.c.status)
        .where(RUNS.c.study_id.in_(members))
        .order_by(RUNS.c.id)
    ):
        members[study_id].append((run_id, status))
    steps = steps_of(conn, list(members))
    return [
        StudyRow(
            **row._mapping,
            run_ids=tuple(run_id for run_id, _ in members[row.id]),
            counts=dict(Counter(status for _, status in members[row.id])),
            steps=tuple(steps.get(row.id, ())),
        )
        for row in studies
    ]
