from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from store.database import Unavailable
from tests.worker.house import House, fake_launch, wait_until
from worker import runner as runner_module
from worker.bell import Bell
from worker.processes import Launch
from worker.runner import Runner


@pytest.fixture
def bell(house: House) -> Iterator[Bell]:
    house.start_broker()
    rung = Bell(house.settings)
    yield rung
    rung.close()


def _runner(house: House, bell: Bell, launch: Launch | None = None, slots: int = 1) -> Runner:
    return Runner(
        house.store,
        house.settings,
        bell,
        launch or fake_launch("train", 0),
        worker_id="w",
        device="cpu",
        slots=slots,
    )


def test_one_wake_runs_all_that_waits_best_first(house: House, bell: Bell) -> None:
    ids = [house.submit(epochs=1, priority=priority) for priority in (0, 5, 0)]
    _runner(house, bell).wake()
    ends = {run_id: house.run(run_id).finished_at or 0 for run_id in ids}
    assert sorted(ids, key=lambda run_id: ends[run_id]) == [ids[1], ids[0], ids[2]]
    assert all(house.run(run_id).status == "succeeded" for run_id in ids)


def test_many_wakes_at_once_run_each_run_once(house: House, bell: Bell) -> None:
    ids = [house.submit(epochs=1) for _ in range(6)]
    runner = _runner(house, bell, slots=2)
    threads = [threading.Thread(target=runner.wake) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [house.outcomes(run_id) for run_id in ids] == [["succeeded"]] * 6


def test_no_more_runs_at_a_time_than_slots(house: House, bell: Bell) -> None:
    for _ in range(4):
        house.submit(epochs=1000)
    runner = _runner(house, bell, fake_launch("train", 0.2), slots=2)
    threads = [threading.Thread(target=runner.wake) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(runner.current()) == 2)
    assert not runner.has_free_slot
    time.sleep(0.5)
    assert len(runner.current()) == 2
    runner.drain()
    for thread in threads:
        thread.join(60)
    assert runner.current() == []
    assert not runner.has_free_slot  # it takes no more


def test_waking_with_nothing_to_do_returns(house: House, bell: Bell) -> None:
    runner = _runner(house, bell)
    runner.wake()
    assert runner.has_free_slot


def test_a_claim_rings_for_the_run_behind_it(house: House, bell: Bell) -> None:
    rings = []
    bell.ring_train = lambda: rings.append("ring")  # type: ignore[method-assign]
    house.submit(epochs=1)
    _runner(house, bell).wake()
    assert rings == []
    house.submit(epochs=1)
    house.submit(epochs=1)
    _runner(house, bell).wake()
    assert rings == ["ring"]


def test_a_handed_back_run_is_rung_for(house: House, bell: Bell) -> None:
    rings = []
    bell.ring_train = lambda: rings.append("ring")  # type: ignore[method-assign]
    run_id = house.submit(epochs=1000)
    runner = _runner(house, bell, fake_launch("train", 0.2))
    runner.wake_in_background()
    house.wait_for_epoch(run_id, 1)
    runner.drain()
    house.wait(run_id, "queued")
    wait_until(lambda: rings == ["ring"])


def test_an_absent_database_is_no_error(
    house: House, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(runner_module.lifecycle, "claim", away)
    runner = _runner(house, bell)
    runner.wake()
    assert runner.has_free_slot


def test_a_broken_supervision_frees_its_slot(
    house: House, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(runner_module.Supervisor, "_follow", broken)
    run_id = house.submit()
    runner = _runner(house, bell)
    runner.wake()
    assert runner.has_free_slot
    assert house.run(run_id).status == "running"  # the reconciler takes it back
    assert not house.trainers()


def test_killing_kills_every_trainer(house: House, bell: Bell) -> None:
    house.submit(epochs=1000)
    runner = _runner(house, bell, fake_launch("ignore-term"))
    thread = threading.Thread(target=runner.wake)
    thread.start()
    wait_until(lambda: len(house.trainers()) >= 1)
    runner.drain()
    runner.kill()
    thread.join(60)
    assert not thread.is_alive()


def test_a_held_worker_lets_its_run_end_and_claims_no_other(house: House, bell: Bell) -> None:
    first, second = house.submit(epochs=3), house.submit(epochs=1)
    runner = _runner(house, bell, fake_launch("train", 0.05))
    thread = threading.Thread(target=runner.wake)
    thread.start()
    wait_until(lambda: house.run(first).status == "running")
    runner.hold(True)
    thread.join(60)
    assert house.run(first).status == "succeeded"
    assert house.run(second).status == "queued"
    assert not runner.has_free_slot
    runner.hold(False)
    runner.wake()
    assert house.run(second).status == "succeeded"
