from __future__ import annotations

import pytest

from store import lifecycle, runs
from store.database import Store
from store.lifecycle import Status, request_cancel, request_pause, resume, set_priority
from store.rows import RunRow
from tests.store.helpers import (
    checkpoint,
    claimed,
    expire,
    queued,
    ready_dataset,
    reap_twice,
    running,
    spec,
    states,
)
from trainer.errors import Conflict, NotFound


def now(store: Store, run_id: int) -> RunRow:
    return runs.get_run(store, run_id)


def test_a_queued_run_is_paused_at_once_and_resumed_into_the_queue(store: Store) -> None:
    ready_dataset(store)
    run = queued(store)
    assert request_pause(store, run.id).status == "paused"
    assert request_pause(store, run.id).status == "paused"
    assert lifecycle.claim(store, "w", device="cpu", lease_s=60) is None
    assert runs.queue_place(store, run.id) is None
    assert resume(store, run.id).status == "queued"
    assert claimed(store).run.id == run.id
    assert states(store, run.id) == ["queued", "paused", "queued", "running"]


def test_a_running_run_is_flagged_and_paused_when_its_worker_lets_go(store: Store) -> None:
    claim = running(store)
    flagged = request_pause(store, claim.run.id)
    assert (flagged.status, flagged.pause_requested) == ("running", True)
    seen = lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=[checkpoint(5)])
    assert seen.pause_requested
    assert not seen.cancel_requested
    assert lifecycle.hand_back(store, claim.run.id, claim.attempt, "why") is Status.PAUSED
    paused = now(store, claim.run.id)
    assert (paused.status, paused.pause_requested, paused.finished_at) == ("paused", False, None)
    assert [one.outcome for one in runs.attempts(store, claim.run.id)] == ["paused"]
    resume(store, claim.run.id)
    again = claimed(store)
    assert (again.run.checkpoint_attempt, again.run.checkpoint_step) == (1, 5)


def test_a_pause_that_was_taken_back_queues_the_run_again(store: Store) -> None:
    claim = running(store)
    request_pause(store, claim.run.id)
    assert not resume(store, claim.run.id).pause_requested
    assert lifecycle.hand_back(store, claim.run.id, claim.attempt, "why") is Status.QUEUED


def test_a_run_that_ends_before_it_is_paused_has_ended(store: Store) -> None:
    claim = running(store)
    request_pause(store, claim.run.id)
    ended = lifecycle.finish(store, claim.run.id, claim.attempt, "succeeded")
    assert (ended.status, ended.pause_requested) == ("succeeded", False)


def test_a_crash_or_a_loss_pauses_a_run_that_was_to_pause(store: Store) -> None:
    claim = running(store)
    request_pause(store, claim.run.id)
    assert lifecycle.crashed(store, claim.run.id, claim.attempt, "x", 3) is Status.PAUSED
    resume(store, claim.run.id)
    again = claimed(store)
    request_pause(store, again.run.id)
    expire(store, again.run.id)
    assert reap_twice(store) == [again.run.id]
    assert now(store, again.run.id).status == "paused"


def test_cancelling_goes_before_pausing(store: Store) -> None:
    claim = running(store)
    request_pause(store, claim.run.id)
    request_cancel(store, claim.run.id)
    assert lifecycle.hand_back(store, claim.run.id, claim.attempt, "why") is Status.CANCELLED
    ready = queued(store)
    request_pause(store, ready.id)
    assert request_cancel(store, ready.id).status == "cancelled"


def test_a_run_being_cancelled_takes_no_pause(store: Store) -> None:
    claim = running(store)
    request_cancel(store, claim.run.id)
    with pytest.raises(Conflict, match="being cancelled"):
        request_pause(store, claim.run.id)


def test_only_what_is_paused_is_resumed(store: Store) -> None:
    claim = running(store)
    with pytest.raises(Conflict, match="only a paused run"):
        resume(store, claim.run.id)
    lifecycle.finish(store, claim.run.id, claim.attempt, "succeeded")
    for wish in (request_pause, resume):
        with pytest.raises(Conflict, match="has succeeded"):
            wish(store, claim.run.id)
        with pytest.raises(NotFound):
            wish(store, 99)


def test_a_script_alone_pauses_its_run(store: Store) -> None:
    run, _ = runs.create_run(store, spec(), owner="ann", external=True)
    with pytest.raises(Conflict, match="reported by a script"):
        request_pause(store, run.id)


def test_a_priority_changes_who_is_next(store: Store) -> None:
    ready_dataset(store)
    first, second = queued(store), queued(store)
    assert set_priority(store, second.id, 5).priority == 5
    place = runs.queue_place(store, second.id)
    assert place is not None
    assert place.position == 1
    assert claimed(store).run.id == second.id
    with pytest.raises(Conflict, match="is running"):
        set_priority(store, second.id, 1)
    request_pause(store, first.id)
    assert set_priority(store, first.id, -3).priority == -3
    with pytest.raises(NotFound):
        set_priority(store, 99, 1)
