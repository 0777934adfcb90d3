from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from store.database import Unavailable
from tests.worker.house import House, wait_until
from worker import reconcile as reconcile_module
from worker.bell import Bell
from worker.broker import broker_client
from worker.celery import WAKE_TASK
from worker.reconcile import Reconciler


class Hand:
    """Stands in for a runner."""

    def __init__(self) -> None:
        self.has_free_slot = True
        self.waiting = False
        self.woken = 0

    def has_work(self) -> bool:
        return self.waiting

    def wake_in_background(self) -> None:
        self.woken += 1


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def reconciler(house: House, hand: Hand) -> Iterator[Reconciler]:
    bell = Bell(house.settings)
    yield Reconciler(house.store, house.settings, bell, WAKE_TASK, hand)
    bell.close()


def _rings(house: House) -> int:
    with broker_client(house.settings) as client:
        return int(client.llen(house.settings.train_queue))


def test_waiting_work_is_rung_for_but_the_queue_does_not_grow(
    house: House, hand: Hand, reconciler: Reconciler
) -> None:
    house.start_broker()
    reconciler.tick()
    assert _rings(house) == 0
    hand.waiting = True
    for _ in range(5):
        reconciler.tick()
    assert _rings(house) == 1


def test_work_that_still_waits_at_the_next_tick_is_taken_without_the_broker(
    house: House, hand: Hand, reconciler: Reconciler
) -> None:
    house.start_broker()
    hand.waiting = True
    reconciler.tick()
    assert hand.woken == 0
    reconciler.tick()
    assert hand.woken == 1


def test_without_a_broker_waiting_work_is_taken_at_once(hand: Hand, reconciler: Reconciler) -> None:
    hand.waiting = True
    reconciler.tick()
    assert hand.woken == 1


def test_a_worker_without_a_free_slot_leaves_the_work_to_others(
    house: House, hand: Hand, reconciler: Reconciler
) -> None:
    house.start_broker()
    hand.waiting, hand.has_free_slot = True, False
    for _ in range(3):
        reconciler.tick()
    assert hand.woken == 0
    assert _rings(house) == 0


def test_a_silent_workers_run_is_taken_back_and_rung_for(
    house: House, reconciler: Reconciler
) -> None:
    house.start_broker()
    house.settings = house.settings.model_copy(update={"lease_s": 0.1})
    run_id = house.submit()
    house.claim()
    time.sleep(0.2)
    reconciler.tick()
    assert house.run(run_id).status == "running"  # one look proves nothing
    time.sleep(2 * house.settings.heartbeat_s)
    reconciler.tick()
    assert house.run(run_id).status == "queued"
    assert house.outcomes(run_id) == ["lost"]
    assert _rings(house) == 1


def test_ticks_go_on_after_an_outage_and_after_a_surprise(
    house: House, hand: Hand, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.start_broker()
    problems: list[Exception] = [Unavailable("away"), RuntimeError("a bug of ours")]
    real = reconcile_module.lifecycle.reap

    def reap(*args: object, **kwargs: object) -> list[int]:
        if problems:
            raise problems.pop()
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(reconcile_module.lifecycle, "reap", reap)
    hand.waiting = True
    reconciler.start()
    wait_until(lambda: hand.woken > 0)
    reconciler.stop()
    assert not problems
