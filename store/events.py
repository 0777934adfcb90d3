"""What happened to runs, in the order of each run's own numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from store.database import Store
from store.rows import EventRow
from store.tables import RUN_EVENTS, RUNS
from store.values import ID_LIMIT, is_id

LOG_KINDS = ("log", "warning", "run_failed")


def events_after(store: Store, run_id: int, seq: int, limit: int = 500) -> list[EventRow]:
    """Return a run's next events after number `seq`, oldest first."""
    if not is_id(run_id) or seq > ID_LIMIT:
        return []
    query = (
        select(RUN_EVENTS)
        .where(RUN_EVENTS.c.run_id == run_id, RUN_EVENTS.c.seq > max(seq, 0))
        .order_by(RUN_EVENTS.c.seq)
        .limit(limit)
    )
    with store.read() as conn:
        return [EventRow(**row._mapping) for row in conn.execute(query)]


def heads(store: Store, run_ids: Sequence[int]) -> dict[int, tuple[str, int]]:
    """Return status and newest event number of the runs that exist."""
    query = select(RUNS.c.id, RUNS.c.status, RUNS.c.event_seq).where(
        RUNS.c.id.in_([number for number in run_ids if is_id(number)])
    )
    with store.read() as conn:
        return {run_id: (status, seq) for run_id, status, seq in conn.execute(query)}


def log_lines(store: Store, run_id: int, limit: int = 500) -> list[EventRow]:
    """Return a run's newest log lines, warnings and failure, oldest first."""
    if not is_id(run_id):
        return []
    query = (
        select(RUN_EVENTS)
        .where(RUN_EVENTS.c.run_id == run_id, RUN_EVENTS.c.kind.in_(LOG_KINDS))
        .order_by(RUN_EVENTS.c.seq.desc())
        .limit(limit)
    )
    with store.read() as conn:
        rows = [EventRow(**row._mapping) for row in conn.execute(query)]
    return rows[::-1]
