"""Where queued runs stand, and what they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import select

from store.database import Store
from store.rows import QueuePlace
from store.states import Status
from store.tables import DATASETS, RUNS, WORKERS

WORKER_SILENCE_S = 30.0
"""A worker unheard of for longer is not counted on; six heartbeats at their default."""


def queue_place(store: Store, run_id: int) -> QueuePlace | None:
    """Return where a run stands in the queue; None if it is not queued."""
    return queue_places(store, [run_id]).get(run_id)


def queue_places(store: Store, run_ids: Sequence[int]) -> dict[int, QueuePlace]:
    """Return where runs stand in the queue; those that are not queued are left out."""
    with store.read() as conn:
        queued = conn.execute(
            select(RUNS.c.id, RUNS.c.dataset_name, RUNS.c.device_wanted)
            .where(RUNS.c.status == Status.QUEUED)
            .order_by(RUNS.c.priority.desc(), RUNS.c.id)
        ).all()
        if not queued:
            return {}
        ready = set(conn.scalars(select(DATASETS.c.name).where(DATASETS.c.status == "ready")))
        devices = set(
            conn.scalars(
                select(WORKERS.c.device).where(
                    WORKERS.c.kind == "train",
                    ~WORKERS.c.draining,
                    WORKERS.c.heartbeat_at > store.now(conn) - WORKER_SILENCE_S,
                )
            )
        )
    wanted = set(run_ids)
    places: dict[int, QueuePlace] = {}
    for ahead, (run_id, dataset, device) in enumerate(queued):
        if run_id not in wanted:
            continue
        waiting_for: Literal["worker", "dataset"] | None = None
        if dataset not in ready:
            waiting_for = "dataset"
        elif not (devices if device != "cuda" else "cuda" in devices):
            waiting_for = "worker"
        places[run_id] = QueuePlace(ahead + 1, ahead, waiting_for)
    return places
