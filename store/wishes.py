"""What users ask of a run: cancel, pause, resume, go sooner or later.

What waits is moved at once. A run that is being trained gets a flag, which its supervisor sees
within a second: it asks the trainer for a checkpoint, and then moves the run.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from store.database import Store
from store.rows import RunRow
from store.states import Status, move, tell_state
from store.tables import RUNS
from store.values import is_id
from trainer.errors import Conflict, NotFound


def request_cancel(store: Store, run_id: int) -> RunRow:
    """Cancel a waiting run at once; ask the supervisor of a running one to stop it.

    Raises:
        NotFound: If there is no such run.
        Conflict: If it has ended.
    """
    with store.write() as conn:
        return cancel(conn, store, run_id)


def cancel(
    conn: Connection, store: Store, run_id: int, error: dict[str, Any] | None = None
) -> RunRow:
    """Do what `request_cancel` does within the caller's transaction.

    Args:
        error: title, detail and remedy, where it is not the run's user who wants it to stop.
    """
    run = _live(conn, run_id, "cancelled")
    if run.status == Status.RUNNING and not run.external:
        if run.cancel_requested:
            return run
        detail = error["detail"] if error else "Its user asked for it to stop."
        return _note(conn, store, run, detail, cancel_requested=True, error=error)
    moved = move(
        conn,
        store,
        RUNS.c.id == run_id,
        Status(run.status),
        Status.CANCELLED,
        detail=error["detail"] if error else "Cancelled by its user.",
        cancel_requested=True,
        error=error,
    )
    assert moved is not None  # noqa: S101 - its row is locked
    return moved


def request_pause(store: Store, run_id: int) -> RunRow:
    """Pause a waiting run at once; ask the supervisor of a running one to stop at a checkpoint.

    Raises:
        NotFound: If there is no such run.
        Conflict: If it has ended, is being cancelled, or is trained outside Tuneboard.
    """
    with store.write() as conn:
        run = _live(conn, run_id, "paused")
        if run.external:
            raise Conflict(
                f"Run {run_id} is reported by a script, which alone can pause it.",
                "Stop the script, or cancel the run.",
            )
        if run.cancel_requested:
            raise Conflict(f"Run {run_id} is being cancelled.")
        if run.status == Status.PAUSED or run.pause_requested:
            return run
        if run.status == Status.RUNNING:
            return _note(conn, store, run, "Its user asked for a pause.", pause_requested=True)
        return _moved(conn, store, run, Status.PAUSED, "Paused by its user.")


def resume(store: Store, run_id: int) -> RunRow:
    """Queue a paused run again; take back a pause that has not come about yet.

    A run whose supervisor has already asked for the checkpoint is queued once that is written.

    Raises:
        NotFound: If there is no such run.
        Conflict: If it is neither paused nor about to be.
    """
    with store.write() as conn:
        run = _live(conn, run_id, "resumed")
        if run.status == Status.PAUSED:
            return _moved(conn, store, run, Status.QUEUED, "Resumed by its user.")
        if run.pause_requested:
            return _note(conn, store, run, "Its user wants no pause.", pause_requested=False)
        raise Conflict(f"Run {run_id} is {run.status}; only a paused run can be resumed.")


def set_priority(store: Store, run_id: int, priority: int) -> RunRow:
    """Let a run that waits go sooner (a higher number) or later.

    Raises:
        NotFound: If there is no such run.
        Conflict: If it no longer waits.
    """
    with store.write() as conn:
        run = _live(conn, run_id, "given another priority")
        if run.status == Status.RUNNING:
            raise Conflict(
                f"Run {run_id} is running; a priority says who begins first.",
                "Pause it to let others go first.",
            )
        if run.priority == priority:
            return run
        return _note(
            conn, store, run, f"Its priority is now {priority}.", priority=priority, place=None
        )


def _live(conn: Connection, run_id: int, wish: str) -> RunRow:
    """Return a run that has not ended, its row locked."""
    row = None
    if is_id(run_id):
        row = conn.execute(select(RUNS).where(RUNS.c.id == run_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id}.")
    run = RunRow(**row._mapping)
    if run.is_terminal:
        raise Conflict(f"Run {run_id} has {run.status}; only a live run can be {wish}.")
    return run


def _moved(conn: Connection, store: Store, run: RunRow, target: Status, detail: str) -> RunRow:
    moved = move(
        conn,
        store,
        RUNS.c.id == run.id,
        Status(run.status),
        target,
        detail=detail,
        pause_requested=False,
    )
    assert moved is not None  # noqa: S101 - its row is locked
    return moved


def _note(conn: Connection, store: Store, run: RunRow, detail: str, **values: Any) -> RunRow:
    """Change columns of a run that stays in its state, and tell pages."""
    row = conn.execute(
        update(RUNS)
        .where(RUNS.c.id == run.id)
        .values(**values, event_seq=RUNS.c.event_seq + 1)
        .returning(*RUNS.c)
    ).one()
    noted = RunRow(**row._mapping)
    tell_state(conn, store, noted, detail)
    return noted
