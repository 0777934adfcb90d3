"""Where queued runs stand, what they wait for, and how they are put in another order.

The order is priority, highest first, then place, lowest first; a run's place is its id until it
is moved. A moved run takes the nearest priority that fits between its new neighbours'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, func, select, update

from store.database import Store
from store.rows import QueuePlace
from store.states import Status
from store.tables import DATASETS, RUNS, WORKERS
from store.values import is_id
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

WORKER_SILENCE_S = 30.0
"""A worker unheard of for longer is not counted on; six heartbeats at their default."""


def queue_order() -> tuple[ColumnElement[Any], ...]:
    """Return what queued runs are ordered by: next first."""
    return RUNS.c.priority.desc(), func.coalesce(RUNS.c.place, RUNS.c.id), RUNS.c.id


def queued_ids(store: Store, limit: int | None = None) -> list[int]:
    """Return the queued runs, next first."""
    query = select(RUNS.c.id).where(RUNS.c.status == Status.QUEUED)
    with store.read() as conn:
        return list(conn.scalars(query.order_by(*queue_order()).limit(limit)))


def move_run(
    store: Store, run_id: int, *, before: int | None = None, after: int | None = None
) -> int:
    """Put a queued run elsewhere in the queue; return its new position, 1 being next.

    Args:
        before: The queued run that it is to go ahead of.
        after: In place of `before`: the one that it is to follow. Neither: it goes last.

    Raises:
        NotFound: If there is no such run.
        Conflict: If one of the runs is not queued.
        InvalidInput: If both are given, or one of them is the run itself.
    """
    if before is not None and after is not None:
        raise InvalidInput.of(FieldError("after", after, "left out beside `before`"))
    for field, other in (("before", before), ("after", after)):
        if other == run_id:
            raise InvalidInput.of(FieldError(field, other, "another run than the one moved"))
    with store.write() as conn:
        waiting = [
            _Waiting(*row)
            for row in conn.execute(
                select(RUNS.c.id, RUNS.c.priority, func.coalesce(RUNS.c.place, RUNS.c.id))
                .where(RUNS.c.status == Status.QUEUED)
                .order_by(*queue_order())
                .with_for_update()
            )
        ]
        for wanted in (run_id, before, after):
            if wanted is not None and all(one.run_id != wanted for one in waiting):
                _not_queued(conn, wanted)
        [moved] = [one for one in waiting if one.run_id == run_id]
        others = [one for one in waiting if one.run_id != run_id]
        position = len(others)
        for index, one in enumerate(others):
            if one.run_id in {before, after}:
                position = index + (after is not None)
        _put(conn, moved, others[:position], others[position:])
    return position + 1


@dataclass(frozen=True)
class _Waiting:
    run_id: int
    priority: int
    place: float


def _put(
    conn: Connection, moved: _Waiting, ahead: Sequence[_Waiting], behind: Sequence[_Waiting]
) -> None:
    """Give a run the priority and the place between those ahead and those behind."""
    priority = moved.priority
    if ahead:
        priority = min(priority, ahead[-1].priority)
    if behind:
        priority = max(priority, behind[0].priority)
    low = ahead[-1].place if ahead and ahead[-1].priority == priority else None
    high = behind[0].place if behind and behind[0].priority == priority else None
    if low is None:
        place = float(moved.run_id) if high is None else high - 1
    else:
        if high is None:  # ahead of every run that is yet to be queued
            high = (conn.scalar(select(func.max(RUNS.c.id))) or 0) + 1.0
        place = (low + high) / 2
        if not low < place < high:
            place = _spread(conn, priority, ahead, behind)
    conn.execute(
        update(RUNS).where(RUNS.c.id == moved.run_id).values(priority=priority, place=place)
    )


def _spread(
    conn: Connection, priority: int, ahead: Sequence[_Waiting], behind: Sequence[_Waiting]
) -> float:
    """Move the places of a priority's runs apart, and return the one between the two groups."""
    before = [one for one in ahead if one.priority == priority]
    others = [*before, *(one for one in behind if one.priority == priority)]
    last = others[-1].place
    total = len(others) + 1
    place = last - total
    for index, one in enumerate(others):
        at = place + index + (index >= len(before))
        conn.execute(update(RUNS).where(RUNS.c.id == one.run_id).values(place=at))
    return place + len(before)


def _not_queued(conn: Connection, run_id: int) -> None:
    status = is_id(run_id) and conn.scalar(select(RUNS.c.status).where(RUNS.c.id == run_id))
    if not status:
        raise NotFound(f"There is no run {run_id}.")
    raise Conflict(
        f"Run {run_id} is {status}, not queued.", "Only runs that wait can change their order."
    )


def queue_place(store: Store, run_id: int) -> QueuePlace | None:
    """Return where a run stands in the queue; None if it is not queued."""
    return queue_places(store, [run_id]).get(run_id)


def queue_places(store: Store, run_ids: Sequence[int]) -> dict[int, QueuePlace]:
    """Return where runs stand in the queue; those that are not queued are left out."""
    with store.read() as conn:
        queued = conn.execute(
            select(RUNS.c.id, RUNS.c.dataset_name, RUNS.c.device_wanted)
            .where(RUNS.c.status == Status.QUEUED)
            .order_by(*queue_order())
        ).all()
        if not queued:
            return {}
        ready = set(conn.scalars(select(DATASETS.c.name).where(DATASETS.c.status == "ready")))
        devices = set(
            conn.scalars(
                select(WORKERS.c.device).where(
                    WORKERS.c.kind == "train",
                    ~WORKERS.c.draining,
                    ~WORKERS.c.drain_requested,
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
