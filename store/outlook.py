"""What stands between a run and its start: busy slots, and the runs that go before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from store.database import Store
from store.queue import WORKER_SILENCE_S
from store.states import Status
from store.tables import RUNS, WORKERS

AHEAD_READ = 50  # specs of so many runs ahead are read; all are counted


@dataclass(frozen=True)
class Slots:
    """Training workers that take runs."""

    device: str
    """cpu or cuda."""
    count: int


@dataclass(frozen=True)
class Outlook:
    """The queue as a run launched now would find it."""

    now: float
    slots: tuple[Slots, ...]
    running: tuple[float | None, ...]
    """Seconds that each running run has left, as it said last; None where it has not yet."""
    ahead: int
    """Queued runs that go first."""
    ahead_specs: tuple[dict[str, Any], ...]
    """Of the first of them."""


def outlook(store: Store, priority: int) -> Outlook:
    """Return what a run of that priority would have before it."""
    before = (RUNS.c.status == Status.QUEUED) & (RUNS.c.priority >= priority)
    with store.read() as conn:
        now = store.now(conn)
        slots = conn.execute(
            select(WORKERS.c.device, func.sum(WORKERS.c.slots))
            .where(
                WORKERS.c.kind == "train",
                ~WORKERS.c.draining,
                WORKERS.c.heartbeat_at > now - WORKER_SILENCE_S,
            )
            .group_by(WORKERS.c.device)
        ).all()
        running = conn.execute(
            select(RUNS.c.progress).where(RUNS.c.status == Status.RUNNING, ~RUNS.c.external)
        ).scalars()
        left = tuple(_left_s(progress, now) for progress in running)
        ahead = conn.scalar(select(func.count()).select_from(RUNS).where(before)) or 0
        specs = conn.execute(
            select(RUNS.c.spec)
            .where(before)
            .order_by(RUNS.c.priority.desc(), RUNS.c.id)
            .limit(AHEAD_READ)
        ).scalars()
        return Outlook(
            now,
            tuple(Slots(device, int(count)) for device, count in slots),
            left,
            ahead,
            tuple(specs),
        )


def _left_s(progress: dict[str, Any], now: float) -> float | None:
    eta, said = progress.get("eta_s"), progress.get("time")
    if eta is None or said is None:
        return None
    return max(0.0, float(eta) - max(0.0, now - float(said)))
