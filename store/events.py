"""What happened to runs, in the order of each run's own numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select

from store.database import Store
from store.rows import EventRow
from store.tables import RUN_EVENTS, RUNS
from store.values import ID_LIMIT, is_id
from trainer.events import PhaseSeconds

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


def log_lines(store: Store, run_id: int, limit: int = 500, text: str = "") -> list[EventRow]:
    """Return a run's newest log lines, warnings and failure, oldest first.

    Args:
        text: Only what holds this, in any case.
    """
    if not is_id(run_id):
        return []
    query = (
        select(RUN_EVENTS).where(_said(run_id, text)).order_by(RUN_EVENTS.c.seq.desc()).limit(limit)
    )
    with store.read() as conn:
        rows = [EventRow(**row._mapping) for row in conn.execute(query)]
    return rows[::-1]


def log_length(store: Store, run_id: int, text: str = "") -> int:
    """Return how many lines the log has, or how many of them hold a text."""
    query = select(func.count()).select_from(RUN_EVENTS).where(_said(run_id, text))
    with store.read() as conn:
        return int(conn.scalar(query) or 0)


def warnings(store: Store, run_id: int) -> list[EventRow]:
    """Return a run's warnings, oldest first."""
    query = (
        select(RUN_EVENTS)
        .where(RUN_EVENTS.c.run_id == run_id, RUN_EVENTS.c.kind == "warning")
        .order_by(RUN_EVENTS.c.seq)
    )
    with store.read() as conn:
        return [EventRow(**row._mapping) for row in conn.execute(query)]


def phase_seconds(store: Store, run_id: int) -> dict[str, float]:
    """Return what the run's epochs so far have taken, by phase."""
    sums = (
        func.sum(RUN_EVENTS.c.payload[("seconds", phase)].as_float()).label(phase)
        for phase in PhaseSeconds.model_fields
    )
    query = select(*sums).where(
        RUN_EVENTS.c.run_id == run_id, RUN_EVENTS.c.kind == "epoch_finished"
    )
    with store.read() as conn:
        found = conn.execute(query).one()
    return {phase: seconds or 0.0 for phase, seconds in found._mapping.items()}


def _said(run_id: int, text: str) -> ColumnElement[bool]:
    """Return the condition of a line of the log."""
    found = and_(RUN_EVENTS.c.run_id == run_id, RUN_EVENTS.c.kind.in_(LOG_KINDS))
    if not text:
        return found
    parts = ("message", "title", "detail", "remedy")
    holds = (
        RUN_EVENTS.c.payload[part].as_string().icontains(text, autoescape=True) for part in parts
    )
    return and_(found, or_(*holds))
