"""Runs whose worker went silent: taken back after two looks, and only then."""

from __future__ import annotations

import pytest

from store import lifecycle, runs
from store.database import Store
from tests.store.helpers import Clock, claimed, expire, reap_twice, running, spec, states


def test_a_lost_run_is_queued_again_after_two_looks(store: Store) -> None:
    run_id = running(store).run.id
    expire(store, run_id, seconds_ago=30)
    assert reap_twice(store) == [run_id]
    run = runs.get_run(store, run_id)
    assert (run.status, run.losses, run.crashes) == ("queued", 1, 0)
    attempt = runs.attempts(store, run_id)[0]
    assert attempt.outcome == "lost"
    assert "w1" in attempt.detail
    assert claimed(store, "w2").attempt == 2


def test_a_live_lease_is_left_alone(store: Store) -> None:
    running(store)
    assert reap_twice(store) == []


def test_looks_closer_than_two_heartbeats_take_nothing(store: Store) -> None:
    run_id = running(store).run.id
    expire(store, run_id)
    clock, seen = Clock(), {}
    for _ in range(10):
        assert lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock) == []
        clock.now += 0.99
    clock.now += 0.2
    assert lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock) == [run_id]
    assert seen == {}


def test_a_heartbeat_between_looks_saves_the_run(store: Store) -> None:
    run_id = running(store).run.id
    clock, seen = Clock(), {}
    expire(store, run_id, seconds_ago=20)
    lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock)
    lifecycle.record(store, run_id, 1, lease_s=60)
    expire(store, run_id, seconds_ago=1)  # that one ran out too, but it is another lease
    clock.now += 11
    assert lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock) == []
    assert runs.get_run(store, run_id).status == "running"


def test_an_outage_between_looks_starts_the_wait_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = running(store).run.id
    expire(store, run_id)
    clock, seen = Clock(), {}
    lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock)
    clock.now += 11
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", _no_answer)
        with pytest.raises(OSError, match="outage"):
            lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock)
    assert seen == {}
    assert lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock) == []
    lifecycle.record(store, run_id, 1, lease_s=60)  # its owner is back as well
    clock.now += 11
    assert lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock) == []


def _no_answer(_: Store) -> None:
    raise OSError("outage")


def test_a_look_that_waited_long_for_its_turn_takes_nothing(store: Store) -> None:
    run_id = running(store).run.id
    expire(store, run_id)
    clock, seen = Clock(), {}
    lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock)
    times = iter([111.0, 113.0])  # began, and got the lock two seconds later
    looked = lambda: next(times)  # noqa: E731
    assert lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=looked) == []
    clock.now = 124.0
    assert lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=9, clock=clock) == [run_id]


def test_a_run_that_loses_its_worker_too_often_fails(store: Store) -> None:
    run_id = running(store).run.id
    for expected in ("queued", "queued", "failed"):
        expire(store, run_id)
        assert reap_twice(store, max_losses=2) == [run_id]
        assert runs.get_run(store, run_id).status == expected
        if expected == "queued":
            claimed(store)
    error = runs.get_run(store, run_id).error
    assert error is not None
    assert "loss 3" in error["detail"]


def test_external_runs_are_never_lost(store: Store) -> None:
    run, _ = runs.create_run(store, spec(), owner="ann", external=True)
    expire(store, run.id)
    assert reap_twice(store) == []
    assert states(store, run.id) == ["running"]
