"""What a run's trainer used over time, as it said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from store.database import Store
from store.tables import RUN_EVENTS


@dataclass(frozen=True)
class Sample:
    """One look at the trainer's process."""

    time: float
    """Unix seconds."""
    memory_bytes: int
    cpu_percent: float
    """100 is one core."""
    gpu_memory_bytes: int | None = None
    gpu_percent: float | None = None


def samples(store: Store, run_id: int, limit: int) -> list[Sample]:
    """Return at most `limit` samples of a run, evenly chosen, oldest first; the newest is one."""
    query = (
        select(RUN_EVENTS.c.time, RUN_EVENTS.c.payload)
        .where(RUN_EVENTS.c.run_id == run_id, RUN_EVENTS.c.kind == "resources")
        .order_by(RUN_EVENTS.c.seq)
    )
    with store.read() as conn:
        rows = conn.execute(query).all()
    every = max(1, -(-len(rows) // limit))
    return [_sample(time, payload) for time, payload in rows[::-1][::every][::-1]]


def _sample(time: float, payload: dict[str, Any]) -> Sample:
    known = {name: payload.get(name) for name in Sample.__dataclass_fields__ if name != "time"}
    return Sample(time=time, **known)  # type: ignore[arg-type] # as the event's model says
