"""How long runs stood still between their attempts: what wall clock has over training seconds."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from store.database import Store
from store.tables import ATTEMPTS, RUN_EVENTS


def gaps(store: Store, run_ids: Sequence[int]) -> dict[int, list[tuple[int, float]]]:
    """Return, of the runs that had several attempts, (step, seconds stood still) pairs.

    Steps past the step have stood still for so long in all. An attempt in which no epoch ended
    has no pair of its own.
    """
    tried_again = (
        select(ATTEMPTS.c.run_id)
        .where(ATTEMPTS.c.run_id.in_(run_ids))
        .group_by(ATTEMPTS.c.run_id)
        .having(func.count() > 1)
    )
    with store.read() as conn:
        several = list(conn.scalars(tried_again))
        if not several:
            return {}
        told = conn.execute(
            select(
                RUN_EVENTS.c.run_id,
                RUN_EVENTS.c.kind,
                RUN_EVENTS.c.step,
                RUN_EVENTS.c.time,
                RUN_EVENTS.c.payload["elapsed_s"].as_float(),
            )
            .where(
                RUN_EVENTS.c.run_id.in_(several),
                RUN_EVENTS.c.kind.in_(("run_started", "epoch_finished")),
            )
            .order_by(RUN_EVENTS.c.run_id, RUN_EVENTS.c.seq)
        ).all()
    found: dict[int, list[tuple[int, float]]] = {}
    began: dict[int, float] = {}
    resumed_at: dict[int, int] = {}
    for run_id, kind, step, time, elapsed_s in told:
        if kind == "run_started":
            resumed_at[run_id] = step or 0
        elif run_id in resumed_at:
            before = began.setdefault(run_id, time - elapsed_s)
            gap = max(0.0, time - elapsed_s - before)
            found.setdefault(run_id, []).append((resumed_at.pop(run_id), gap))
    return found
