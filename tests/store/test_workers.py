from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from store import lifecycle, workers
from store.database import Store
from store.rows import WorkerRow
from store.tables import WORKERS
from tests.store.helpers import queued, ready_dataset
from trainer.errors import NotFound

WORKER = WorkerRow("w1", "train", "host", 7, "cpu", 2, 100.0, details={"torch": "2"})


def silence(store: Store, worker_id: str, seconds: float) -> None:
    with store.write() as conn:
        conn.execute(
            update(WORKERS)
            .where(WORKERS.c.id == worker_id)
            .values(heartbeat_at=store.now(conn) - seconds)
        )


def test_a_beat_is_timed_by_the_database(store: Store) -> None:
    workers.beat(store, replace(WORKER, heartbeat_at=1.0))
    found = workers.list_workers(store, alive_within_s=30)
    with store.read() as conn:
        assert found[0].heartbeat_at == pytest.approx(store.now(conn), abs=5)
    assert replace(found[0], heartbeat_at=0.0) == WORKER


def test_the_next_beat_overwrites(store: Store) -> None:
    workers.beat(store, WORKER)
    workers.beat(store, replace(WORKER, slots=5))
    assert [row.slots for row in workers.list_workers(store, 30)] == [5]


def test_silent_workers_are_not_listed_and_forgotten_after_a_day(store: Store) -> None:
    workers.beat(store, WORKER)
    workers.beat(store, replace(WORKER, id="w2", kind="interactive"))
    silence(store, "w1", 60)
    assert [row.id for row in workers.list_workers(store, 30)] == ["w2"]
    assert [row.id for row in workers.list_workers(store, 90)] == ["w1", "w2"]
    silence(store, "w1", workers.FORGET_AFTER_S + 1)
    workers.beat(store, replace(WORKER, id="w2"))
    with store.read() as conn:
        assert list(conn.scalars(select(WORKERS.c.id))) == ["w2"]


def test_a_drain_is_asked_for_heard_at_the_next_beat_and_undone(store: Store) -> None:
    assert workers.beat(store, WORKER) is False
    workers.request_drain(store, "w1")
    assert workers.beat(store, WORKER) is True  # a beat does not take the wish back
    [row] = workers.list_workers(store, 30)
    assert (row.drain_requested, row.draining) == (True, False)
    workers.request_drain(store, "w1", drain=False)
    assert workers.beat(store, WORKER) is False
    with pytest.raises(NotFound, match="no worker w9"):
        workers.request_drain(store, "w9")


def test_a_worker_that_was_asked_to_drain_claims_nothing(store: Store) -> None:
    ready_dataset(store)
    queued(store)
    workers.beat(store, WORKER)
    workers.request_drain(store, "w1")
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is None
    workers.request_drain(store, "w1", drain=False)
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is not None


def test_goodbye(store: Store) -> None:
    workers.beat(store, WORKER)
    workers.forget(store, "w1")
    assert workers.list_workers(store, 30) == []
