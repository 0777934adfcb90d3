"""The states of a run and the only way from one to another.

`TRANSITIONS` is the whole table. Every move is one UPDATE guarded by the old state (and the
attempt, for what an attempt does), whose row says who won, and leaves a `state` event.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from store.database import Store
from store.rows import TERMINAL_STATUSES, RunRow
from store.tables import ATTEMPTS, RUN_EVENTS, RUNS
from trainer.errors import Conflict


class Status(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset(Status(name) for name in TERMINAL_STATUSES)

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.PAUSED, Status.FAILED, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.QUEUED, Status.PAUSED, *TERMINAL}),
    Status.PAUSED: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}

PASSING_KINDS = ("progress",)
"""Events of use only while a run goes on; deleted when it ends."""


class LostRun(Conflict):
    """The attempt no longer owns its run; its trainer must be killed."""

    title = "The run belongs to someone else"

    @classmethod
    def of(cls, run_id: int, attempt: int) -> LostRun:
        """Build the error from the attempt that lost."""
        return cls(f"Attempt {attempt} of run {run_id} no longer owns it.")


def move(
    conn: Connection,
    store: Store,
    where: ColumnElement[bool],
    origin: Status,
    target: Status,
    *,
    detail: str = "",
    **values: Any,
) -> RunRow | None:
    """Move the one run that `where` selects, if it is in `origin`; return it as it is then.

    None means that somebody else moved it first.

    Args:
        detail: A sentence for the `state` event.
        values: Other columns to set, `error` among them.

    Raises:
        ValueError: If the table forbids the move.
    """
    if target not in TRANSITIONS[origin]:
        raise ValueError(f"a run never goes from {origin} to {target}")
    if target in TERMINAL:
        values["finished_at"] = store.clock()
    row = conn.execute(
        update(RUNS)
        .where(where, RUNS.c.status == origin)
        .values(status=target, event_seq=RUNS.c.event_seq + 1, **values)
        .returning(*RUNS.c)
    ).one_or_none()
    if row is None:
        return None
    run = RunRow(**row._mapping)
    if target in TERMINAL:
        conn.execute(
            delete(RUN_EVENTS).where(
                RUN_EVENTS.c.run_id == run.id, RUN_EVENTS.c.kind.in_(PASSING_KINDS)
            )
        )
    tell_state(conn, store, run, detail)
    return run


def end_attempt(
    conn: Connection,
    store: Store,
    run_id: int,
    attempt: int,
    target: Status,
    outcome: str,
    detail: str = "",
    **values: Any,
) -> RunRow:
    """Move a running run on and close its attempt.

    Raises:
        LostRun: If that attempt does not own the run.
    """
    run = move(
        conn,
        store,
        (RUNS.c.id == run_id) & (RUNS.c.attempt == attempt),
        Status.RUNNING,
        target,
        detail=detail,
        lease_expires_at=None,
        pause_requested=False,
        **values,
    )
    if run is None:
        raise LostRun.of(run_id, attempt)
    conn.execute(
        update(ATTEMPTS)
        .where(ATTEMPTS.c.run_id == run_id, ATTEMPTS.c.number == attempt)
        .values(ended_at=store.clock(), outcome=outcome, detail=detail)
    )
    return run


def owned(conn: Connection, run_id: int, attempt: int) -> RunRow:
    """Return the run, its row locked, if that attempt owns it.

    Raises:
        LostRun: If it does not.
    """
    row = conn.execute(
        select(RUNS)
        .where(RUNS.c.id == run_id, RUNS.c.attempt == attempt, RUNS.c.status == Status.RUNNING)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise LostRun.of(run_id, attempt)
    return RunRow(**row._mapping)


def tell_state(conn: Connection, store: Store, run: RunRow, detail: str = "") -> None:
    """Append the `state` event for which the run's `event_seq` has just been raised."""
    conn.execute(
        insert(RUN_EVENTS).values(
            run_id=run.id,
            seq=run.event_seq,
            kind="state",
            time=store.clock(),
            payload={
                "status": str(run.status),
                "attempt": run.attempt,
                "detail": detail,
                "error": run.error,
            },
        )
    )
