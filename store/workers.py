"""Workers that have been heard of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, select, update

from store.database import Store, upsert
from store.rows import WorkerRow
from store.tables import WORKERS
from trainer.errors import NotFound

FORGET_AFTER_S = 24 * 3600.0


def beat(store: Store, worker: WorkerRow) -> bool:
    """Say that a worker lives, and return whether somebody asked it to drain.

    `heartbeat_at` is set to the database's time; `draining` is written as given. Workers unheard of
    for a day are forgotten on the way.
    """
    said = asdict(worker)
    del said["drain_requested"]  # others write it
    with store.write() as conn:
        now = store.now(conn)
        upsert(conn, WORKERS, [{**said, "heartbeat_at": now}], ("id",))
        conn.execute(delete(WORKERS).where(WORKERS.c.heartbeat_at < now - FORGET_AFTER_S))
        asked = conn.scalar(select(WORKERS.c.drain_requested).where(WORKERS.c.id == worker.id))
    return bool(asked)


def list_workers(store: Store, alive_within_s: float) -> list[WorkerRow]:
    """Return the workers heard of within so many seconds, training ones first."""
    with store.read() as conn:
        query = (
            select(WORKERS)
            .where(WORKERS.c.heartbeat_at >= store.now(conn) - alive_within_s)
            .order_by(WORKERS.c.kind.desc(), WORKERS.c.hostname, WORKERS.c.started_at)
        )
        return [WorkerRow(**row._mapping) for row in conn.execute(query)]


def request_drain(store: Store, worker_id: str, drain: bool = True) -> WorkerRow:
    """Ask a worker to finish what it is at and take nothing new, or to work again.

    Raises:
        NotFound: If no worker of that id has been heard of.
    """
    with store.write() as conn:
        row = conn.execute(
            update(WORKERS)
            .where(WORKERS.c.id == worker_id)
            .values(drain_requested=drain)
            .returning(*WORKERS.c)
        ).one_or_none()
    return _found(row, worker_id)


def get_worker(store: Store, worker_id: str) -> WorkerRow:
    """Return a worker.

    Raises:
        NotFound: If no worker of that id has been heard of.
    """
    with store.read() as conn:
        row = conn.execute(select(WORKERS).where(WORKERS.c.id == worker_id)).one_or_none()
    return _found(row, worker_id)


def _found(row: Any, worker_id: str) -> WorkerRow:
    if row is None:
        raise NotFound(f"There is no worker {worker_id}.", "`tuneboard workers` lists them.")
    return WorkerRow(**row._mapping)


def forget(store: Store, worker_id: str) -> None:
    """Remove a worker that has said goodbye."""
    with store.write() as conn:
        conn.execute(delete(WORKERS).where(WORKERS.c.id == worker_id))
