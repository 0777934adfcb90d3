from __future__ import annotations

from itertools import product

import pytest
from sqlalchemy import select, update

from store import datasets, events, lifecycle, runs
from store.database import Store
from store.lifecycle import TERMINAL, TRANSITIONS, LostRun, Status
from store.states import move
from store.tables import RUNS
from tests.store.helpers import (
    checkpoint,
    claimed,
    expire,
    log,
    progress,
    queued,
    ready_dataset,
    reap_twice,
    resources,
    running,
    spec,
    states,
)
from trainer.errors import Conflict, NotFound

ERROR = {"title": "Weights missing", "detail": "No file w.pt.", "remedy": "Put it there."}


def kinds(store: Store, run_id: int) -> list[str]:
    return [row.kind for row in events.events_after(store, run_id, 0)]


def test_terminal_states_lead_nowhere() -> None:
    assert {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED} == TERMINAL
    assert all(not TRANSITIONS[status] for status in TERMINAL)
    assert set(TRANSITIONS) == set(Status)


def test_only_the_tables_moves_are_made(store: Store) -> None:
    run = queued(store)
    for origin, target in product(Status, Status):
        with store.write() as conn:
            conn.execute(update(RUNS).values(status=origin))
        if target in TRANSITIONS[origin]:
            with store.write() as conn:
                moved = move(conn, store, RUNS.c.id == run.id, origin, target)
            assert moved is not None
            assert moved.status == target
        else:
            with store.write() as conn, pytest.raises(ValueError, match="never goes"):
                move(conn, store, RUNS.c.id == run.id, origin, target)
            assert runs.get_run(store, run.id).status == origin


def test_a_move_from_a_state_the_run_is_not_in_changes_nothing(store: Store) -> None:
    run = queued(store)
    for origin in set(Status) - {Status.QUEUED}:
        for target in TRANSITIONS[origin]:
            with store.write() as conn:
                assert move(conn, store, RUNS.c.id == run.id, origin, target) is None
    assert runs.get_run(store, run.id) == run


def test_every_move_is_told_with_the_next_number(store: Store) -> None:
    claim = running(store)
    lifecycle.hand_back(store, claim.run.id, 1, "The worker was told to stop.")
    claimed(store, "w2")
    lifecycle.finish(store, claim.run.id, 2, "failed", ERROR)
    told = events.events_after(store, claim.run.id, 0)
    assert [row.seq for row in told] == [1, 2, 3, 4, 5]
    assert [row.payload["status"] for row in told] == [
        "queued",
        "running",
        "queued",
        "running",
        "failed",
    ]
    assert [row.payload["attempt"] for row in told] == [0, 1, 1, 2, 2]
    assert told[2].payload["detail"] == "The worker was told to stop."
    assert told[-1].payload["error"] == ERROR
    assert events.heads(store, [claim.run.id]) == {claim.run.id: ("failed", 5)}


def test_a_claim_takes_the_highest_priority_then_the_oldest(store: Store) -> None:
    ready_dataset(store)
    first, second, urgent = queued(store), queued(store), queued(store, priority=5)
    order = [claimed(store).run.id for _ in range(3)]
    assert order == [urgent.id, first.id, second.id]
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is None


def test_a_claim_returns_run_attempt_and_dataset(store: Store) -> None:
    claim = running(store)
    with store.read() as conn:
        now = store.now(conn)
    assert (claim.attempt, claim.run.status, claim.run.worker_id) == (1, "running", "w1")
    assert claim.dataset.summary == {"classes": ["0", "1"]}
    assert claim.run.lease_expires_at == pytest.approx(now + 60, abs=5)
    assert claim.run.started_at == pytest.approx(now, abs=5)
    attempt = runs.attempts(store, claim.run.id)[0]
    assert (attempt.number, attempt.worker_id, attempt.outcome) == (1, "w1", None)


def test_a_claim_leaves_runs_whose_dataset_is_not_ready(store: Store) -> None:
    queued(store)
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is None
    row = datasets.register_dataset(store, "digits", "catalogue", "digits", "ann")
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is None
    datasets.dataset_failed(store, row.id, ERROR)
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is None


@pytest.mark.parametrize(
    ("wanted", "device", "fits"),
    [
        ("auto", "cpu", True),
        ("cpu", "cpu", True),
        ("cuda", "cpu", False),
        ("auto", "cuda", True),
        ("cpu", "cuda", True),
        ("cuda", "cuda", True),
    ],
)
def test_a_claim_fits_the_device(store: Store, wanted: str, device: str, fits: bool) -> None:
    ready_dataset(store)
    queued(store, device=wanted)
    found = lifecycle.claim(store, "w1", device=device, lease_s=60)
    assert (found is not None) is fits


def test_a_claim_leaves_external_runs(store: Store) -> None:
    ready_dataset(store)
    runs.create_run(store, spec(), owner="ann", external=True)
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is None


def test_the_first_start_is_kept_over_attempts(store: Store) -> None:
    claim = running(store)
    lifecycle.hand_back(store, claim.run.id, 1, "")
    assert claimed(store).run.started_at == claim.run.started_at


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled"])
def test_finish_ends_run_and_attempt(store: Store, outcome: str) -> None:
    claim = running(store)
    lifecycle.record(
        store, claim.run.id, 1, lease_s=60, events=[progress(1), resources(), log("hello")]
    )
    error = ERROR if outcome == "failed" else None
    run = lifecycle.finish(store, claim.run.id, 1, outcome, error)
    assert (run.status, run.error, run.lease_expires_at) == (outcome, error, None)
    assert run.is_terminal
    assert run.finished_at is not None
    assert run.progress["step"] == 1
    assert kinds(store, run.id) == ["state", "state", "resources", "log", "state"]
    attempt = runs.attempts(store, run.id)[0]
    assert attempt.outcome == outcome
    assert attempt.ended_at is not None


def test_an_old_attempt_can_do_nothing(store: Store) -> None:
    claim = running(store)
    run_id = claim.run.id
    lifecycle.hand_back(store, run_id, 1, "")
    claimed(store, "w2")
    before = (runs.get_run(store, run_id), runs.attempts(store, run_id), kinds(store, run_id))
    for act in (
        lambda: lifecycle.record(store, run_id, 1, lease_s=60, events=[progress(5)], offset=9),
        lambda: lifecycle.record(store, run_id, 1, lease_s=600),
        lambda: lifecycle.rewind(store, run_id, 1, offset=0, step=0, epochs=0),
        lambda: lifecycle.finish(store, run_id, 1, "succeeded"),
        lambda: lifecycle.hand_back(store, run_id, 1, ""),
        lambda: lifecycle.crashed(store, run_id, 1, "", 3),
    ):
        with pytest.raises(LostRun):
            act()
    after = (runs.get_run(store, run_id), runs.attempts(store, run_id), kinds(store, run_id))
    assert after == before


def test_an_ended_run_never_changes(store: Store) -> None:
    claim = running(store)
    ended = lifecycle.finish(store, claim.run.id, 1, "succeeded")
    for act in (
        lambda: lifecycle.record(store, ended.id, 1, lease_s=60, events=[log("late")]),
        lambda: lifecycle.finish(store, ended.id, 1, "failed", ERROR),
    ):
        with pytest.raises(LostRun):
            act()
    with pytest.raises(Conflict, match="has succeeded"):
        lifecycle.request_cancel(store, ended.id)
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is None
    assert runs.get_run(store, ended.id) == ended


def test_a_run_fails_after_so_many_crashes_in_a_row(store: Store) -> None:
    run_id = running(store).run.id
    assert lifecycle.crashed(store, run_id, 1, "signal 11", 3) == "queued"
    claimed(store)
    assert lifecycle.crashed(store, run_id, 2, "signal 11", 3) == "queued"
    claimed(store)
    assert lifecycle.crashed(store, run_id, 3, "signal 9\nKilled", 3) == "failed"
    run = runs.get_run(store, run_id)
    assert run.error is not None
    assert run.error["detail"] == "signal 9\nKilled"
    assert "3 times" in run.error["remedy"]
    found = runs.attempts(store, run_id)
    assert [attempt.outcome for attempt in found] == ["crashed"] * 3
    assert found[0].detail == "signal 11"


def test_a_checkpoint_forgives_crashes(store: Store) -> None:
    run_id = running(store).run.id
    lifecycle.crashed(store, run_id, 1, "", 2)
    claimed(store)
    lifecycle.record(store, run_id, 2, lease_s=60, events=[checkpoint(10)])
    assert lifecycle.crashed(store, run_id, 2, "", 2) == "queued"
    claimed(store)
    assert lifecycle.crashed(store, run_id, 3, "", 2) == "failed"


def test_cancelling_a_queued_run_ends_it_at_once(store: Store) -> None:
    ready_dataset(store)
    run = queued(store)
    cancelled = lifecycle.request_cancel(store, run.id)
    assert (cancelled.status, cancelled.cancel_requested) == ("cancelled", True)
    assert cancelled.finished_at is not None
    assert lifecycle.claim(store, "w1", device="cpu", lease_s=60) is None


def test_cancelling_a_paused_run_ends_it_at_once(store: Store) -> None:
    run = queued(store)
    with store.write() as conn:
        move(conn, store, RUNS.c.id == run.id, Status.QUEUED, Status.PAUSED)
    assert lifecycle.request_cancel(store, run.id).status == "cancelled"


def test_cancelling_a_running_run_asks_its_supervisor(store: Store) -> None:
    run_id = running(store).run.id
    assert not lifecycle.record(store, run_id, 1, lease_s=60).cancel_requested
    asked = lifecycle.request_cancel(store, run_id)
    assert (asked.status, asked.cancel_requested) == ("running", True)
    assert lifecycle.record(store, run_id, 1, lease_s=60).cancel_requested
    again = lifecycle.request_cancel(store, run_id)
    assert again.event_seq == asked.event_seq


@pytest.mark.parametrize("way", ["hand_back", "crash", "loss"])
def test_a_run_to_be_cancelled_is_not_queued_again(store: Store, way: str) -> None:
    run_id = running(store).run.id
    lifecycle.request_cancel(store, run_id)
    if way == "hand_back":
        assert lifecycle.hand_back(store, run_id, 1, "") == "cancelled"
    elif way == "crash":
        assert lifecycle.crashed(store, run_id, 1, "", 3) == "cancelled"
    else:
        expire(store, run_id)
        reap_twice(store)
    assert runs.get_run(store, run_id).status == "cancelled"


def test_cancelling_an_external_run_ends_it_at_once(store: Store) -> None:
    run, _ = runs.create_run(store, spec(), owner="ann", external=True)
    assert lifecycle.request_cancel(store, run.id).status == "cancelled"


@pytest.mark.parametrize("run_id", [7, 0, -1, 2**40])
def test_cancelling_an_unknown_run_says_so(store: Store, run_id: int) -> None:
    with pytest.raises(NotFound, match=str(run_id)):
        lifecycle.request_cancel(store, run_id)


def test_runs_waiting_for_a_failed_dataset_fail_with_its_error(store: Store) -> None:
    waiting = [queued(store).id, queued(store).id]
    other, _ = runs.create_run(store, spec(dataset="faces"), owner="ann")
    assert lifecycle.fail_queued_for_dataset(store, "digits", ERROR) == waiting
    assert [runs.get_run(store, run_id).error for run_id in waiting] == [ERROR, ERROR]
    assert runs.get_run(store, other.id).status == "queued"


def test_creation_is_told_too(store: Store) -> None:
    run = queued(store)
    with store.read() as conn:
        assert conn.scalar(select(RUNS.c.event_seq)) == 1
    assert states(store, run.id) == ["queued"]
