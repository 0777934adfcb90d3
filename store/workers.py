"""Workers that have been heard of."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import delete, select, update

from store.database import Store, upsert
from store.rows import WorkerRow
from store.tables import WORKERS

FORGET_AFTER_S = 24 * 3600.0


def beat(store: Store, worker: WorkerRow) -> None:
    """Say that a worker lives; `heartbeat_at` is set to the database's time.

    `draining` is written as given. Workers unheard of for a day are forgotten on the way.
    """
    with store.write() as conn:
        now = store.now(conn)
        upsert(conn, WORKERS, [{**asdict(worker), "heartbeat_at": now}], ("id",))
        conn.execute(delete(WORKERS).where(WORKERS.c.heartbeat_at < now - FORGET_AFTER_S))


def list_workers(store: Store, alive_within_s: float) -> list[WorkerRow]:
    """Return the workers heard of within so many seconds, training ones first."""
    with store.read() as conn:
        query = (
            select(WORKERS)
            .where(WORKERS.c.heartbeat_at >= store.now(conn) - alive_within_s)
            .order_by(WORKERS.c.kind.desc(), WORKERS.c.hostname, WORKERS.c.started_at)
        )
        return [WorkerRow(**row._mapping) for row in conn.execute(query)]


def set_draining(store: Store, worker_id: str, draining: bool = True) -> None:
    """Mark a worker that takes no more runs."""
    with store.write() as conn:
        conn.execute(update(WORKERS).where(WORKERS.c.id == worker_id).values(draining=draining))


def forget(store: Store, worker_id: str) -> None:
    """Remove a worker that has said goodbye."""
    with store.write() as conn:
        conn.execute(delete(WORKERS).where(WORKERS.c.id == worker_id))
