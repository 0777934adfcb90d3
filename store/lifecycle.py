"""What workers and the reconciler do to a run: claim, end, hand back, reap.

The states and the fence are in `store.states`, the recording of events in `store.ingest`, what
users ask for in `store.wishes`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, literal, select

from store.database import Store
from store.ingest import Recorded, record, rewind
from store.queue import queue_order
from store.rows import DatasetRow, RunRow
from store.states import (
    TERMINAL,
    TRANSITIONS,
    LostRun,
    Status,
    end_attempt,
    move,
    owned,
)
from store.tables import ATTEMPTS, DATASETS, RUNS, WORKERS
from store.wishes import request_cancel, request_pause, resume, set_priority

__all__ = [
    "TERMINAL",
    "TRANSITIONS",
    "Claim",
    "LostRun",
    "Recorded",
    "Status",
    "claim",
    "crashed",
    "fail_queued_for_dataset",
    "finish",
    "hand_back",
    "reap",
    "record",
    "request_cancel",
    "request_pause",
    "resume",
    "rewind",
    "set_priority",
]

SLOW_LOOK_S = 1.0
"""A look at leases that took longer says nothing about who is alive."""

Seen = dict[int, tuple[int, float, float]]
"""Expired leases by run: attempt, when it expired, and when (monotonic) that was first seen."""


@dataclass(frozen=True)
class Claim:
    """A run that a worker may now train."""

    run: RunRow
    attempt: int
    dataset: DatasetRow


def claim(
    store: Store, worker_id: str, *, device: Literal["cpu", "cuda"], lease_s: float
) -> Claim | None:
    """Take the first queued run that fits the device: highest priority, then its place.

    Only runs whose dataset is ready are taken, and none by a worker that was asked to drain; None
    when there is none.
    """
    fitting = ("auto", "cpu", "cuda") if device == "cuda" else ("auto", "cpu")
    best = (
        select(RUNS.c.id)
        .join(DATASETS, DATASETS.c.name == RUNS.c.dataset_name)
        .where(
            RUNS.c.status == Status.QUEUED,
            RUNS.c.device_wanted.in_(fitting),
            ~RUNS.c.cancel_requested,
            ~RUNS.c.external,
            DATASETS.c.status == "ready",
            literal(worker_id).not_in(select(WORKERS.c.id).where(WORKERS.c.drain_requested)),
        )
        .order_by(*queue_order())
        .limit(1)
        .with_for_update(of=RUNS, skip_locked=True)  # left out on SQLite, which has one writer
        .scalar_subquery()
    )
    with store.write() as conn:
        run = move(
            conn,
            store,
            RUNS.c.id == best,
            Status.QUEUED,
            Status.RUNNING,
            detail=f"Claimed by {worker_id}.",
            attempt=RUNS.c.attempt + 1,
            worker_id=worker_id,
            lease_expires_at=store.clock() + lease_s,
            started_at=func.coalesce(RUNS.c.started_at, store.clock()),
        )
        if run is None:
            return None
        conn.execute(
            insert(ATTEMPTS).values(
                run_id=run.id,
                number=run.attempt,
                worker_id=worker_id,
                started_at=store.clock(),
                detail="",
            )
        )
        row = conn.execute(select(DATASETS).where(DATASETS.c.name == run.dataset_name)).one()
        return Claim(run, run.attempt, DatasetRow(**row._mapping))


def finish(
    store: Store,
    run_id: int,
    attempt: int,
    outcome: Literal["succeeded", "failed", "cancelled"],
    error: dict[str, Any] | None = None,
) -> RunRow:
    """End a run for good.

    Args:
        error: title, detail and remedy, for a failure. A cancelled run keeps what it was told.

    Raises:
        LostRun: If the attempt does not own the run; nothing is changed.
    """
    with store.write() as conn:
        return end_attempt(
            conn,
            store,
            run_id,
            attempt,
            Status(outcome),
            outcome,
            detail=(error or {}).get("title", ""),
            **({} if outcome == "cancelled" else {"error": error}),
        )


def hand_back(store: Store, run_id: int, attempt: int, detail: str) -> Status:
    """Queue or pause a run that its worker stopped on purpose; return where it went.

    Raises:
        LostRun: If the attempt does not own the run; nothing is changed.
    """
    with store.write() as conn:
        run = owned(conn, run_id, attempt)
        target = _stopped_as_asked(run)
        outcome = "paused" if target is Status.PAUSED else "handed_back"
        end_attempt(conn, store, run_id, attempt, target, outcome, detail)
        return target


def crashed(store: Store, run_id: int, attempt: int, detail: str, max_crashes: int) -> Status:
    """Queue a run again whose trainer died, or fail it; return where it went.

    Args:
        detail: How it died and the end of its log; the user reads it if the run fails.
        max_crashes: How many in a row, without a checkpoint between, end the run.

    Raises:
        LostRun: If the attempt does not own the run; nothing is changed.
    """
    with store.write() as conn:
        run = owned(conn, run_id, attempt)
        crashes = run.crashes + 1
        target, error = _stopped_as_asked(run), run.error
        if not run.cancel_requested and crashes >= max_crashes:
            target = Status.FAILED
            error = {
                "title": "The trainer crashed",
                "detail": detail,
                "remedy": f"It crashed {crashes} times without reaching a new checkpoint; "
                "look at the end of its log.",
            }
        end_attempt(
            conn, store, run_id, attempt, target, "crashed", detail, crashes=crashes, error=error
        )
        return target


def reap(
    store: Store,
    *,
    seen: Seen,
    heartbeat_s: float,
    max_losses: int,
    clock: Callable[[], float] = time.monotonic,
) -> list[int]:
    """Take runs back whose supervisors have been silent; return their ids.

    An expired lease alone proves nothing: after an outage of the database every lease has
    expired, and this may look before the first heartbeat. So a lease is taken only when looks two
    heartbeats apart saw it expired and unchanged, with no failed or slow look between; and each
    look waits its turn for the right to write, as a heartbeat does.

    Args:
        seen: Kept by the caller between calls, and by nobody else.
        clock: Monotonic seconds.

    Raises:
        Unavailable: If the database does not answer; what was seen is forgotten.
    """
    began = clock()
    taken: list[int] = []
    try:
        with store.write() as conn:
            expired = _expired(conn, store)
            looked = clock()
            if looked - began > SLOW_LOOK_S:
                seen.clear()
            for run_id in seen.keys() - expired.keys():
                del seen[run_id]
            for run_id, (run, now) in expired.items():
                lease = run.lease_expires_at or 0.0
                before = seen.get(run_id)
                if before is None or before[:2] != (run.attempt, lease):
                    seen[run_id] = (run.attempt, lease, looked)
                elif looked - before[2] >= 2 * heartbeat_s:
                    _lose(conn, store, run, now - lease, max_losses)
                    taken.append(run_id)
    except BaseException:
        seen.clear()
        raise
    for run_id in taken:
        del seen[run_id]
    return taken


def fail_queued_for_dataset(store: Store, dataset_name: str, error: dict[str, Any]) -> list[int]:
    """Fail the runs that wait for a dataset that could not be prepared; return their ids."""
    with store.write() as conn:
        waiting = conn.scalars(
            select(RUNS.c.id)
            .where(RUNS.c.dataset_name == dataset_name, RUNS.c.status == Status.QUEUED)
            .order_by(RUNS.c.id)
        ).all()
        failed = []
        for run_id in waiting:
            where = RUNS.c.id == run_id
            detail = f"Dataset {dataset_name} could not be prepared."
            if move(conn, store, where, Status.QUEUED, Status.FAILED, detail=detail, error=error):
                failed.append(run_id)
        return failed


def _stopped_as_asked(run: RunRow) -> Status:
    """Return where a run goes whose attempt ended without the run's end."""
    if run.cancel_requested:
        return Status.CANCELLED
    return Status.PAUSED if run.pause_requested else Status.QUEUED


def _expired(conn: Connection, store: Store) -> dict[int, tuple[RunRow, float]]:
    """Return the running runs whose leases have run out, locked, and the time."""
    now = store.now(conn)
    rows = conn.execute(
        select(RUNS)
        .where(RUNS.c.status == Status.RUNNING, ~RUNS.c.external, RUNS.c.lease_expires_at < now)
        .order_by(RUNS.c.id)
        .with_for_update(skip_locked=True)
    )
    return {row.id: (RunRow(**row._mapping), now) for row in rows}


def _lose(conn: Connection, store: Store, run: RunRow, silent_s: float, max_losses: int) -> None:
    losses = run.losses + 1
    detail = f"Worker {run.worker_id} let its lease run out {silent_s:.0f} s ago."
    target, error = _stopped_as_asked(run), run.error
    if not run.cancel_requested and losses > max_losses:
        target = Status.FAILED
        error = {
            "title": "The run lost its worker too often",
            "detail": f"{detail} That was loss {losses} of this run.",
            "remedy": "Look into why workers die: memory, power, the machine's own log.",
        }
    end_attempt(
        conn, store, run.id, run.attempt, target, "lost", detail, losses=losses, error=error
    )
