from __future__ import annotations

import pytest
from sqlalchemy import event

from store import lifecycle, runs, workers
from store.database import Store
from store.queue import move_run, queued_ids
from store.rows import QueuePlace, WorkerRow
from tests.store.helpers import claimed, queued, ready_dataset, spec
from trainer.errors import Conflict, InvalidInput, NotFound


def worker(store: Store, device: str = "cpu", kind: str = "train", draining: bool = False) -> None:
    workers.beat(store, WorkerRow("w", kind, "h", 1, device, 1, 1.0, draining=draining))


def test_places_follow_priority_then_age(store: Store) -> None:
    ready_dataset(store)
    worker(store)
    first, second, urgent = queued(store), queued(store), queued(store, priority=1)
    assert runs.queue_places(store, [first.id, second.id, urgent.id]) == {
        urgent.id: QueuePlace(1, 0, None),
        first.id: QueuePlace(2, 1, None),
        second.id: QueuePlace(3, 2, None),
    }
    assert claimed(store).run.id == urgent.id
    assert runs.queue_place(store, second.id) == QueuePlace(2, 1, None)


def test_only_queued_runs_have_a_place(store: Store) -> None:
    run = queued(store)
    lifecycle.request_cancel(store, run.id)
    assert runs.queue_place(store, run.id) is None
    assert runs.queue_place(store, 99) is None


def test_a_run_waits_for_its_dataset_first(store: Store) -> None:
    run, _ = runs.create_run(store, spec(dataset="faces"), owner="ann")
    ready_dataset(store)
    place = runs.queue_place(store, run.id)
    assert place is not None
    assert place.waiting_for == "dataset"


@pytest.mark.parametrize(
    ("wanted", "given", "waiting_for"),
    [
        ("auto", None, "worker"),
        ("auto", {"device": "cpu"}, None),
        ("cpu", {"device": "cuda"}, None),
        ("cuda", {"device": "cpu"}, "worker"),
        ("cuda", {"device": "cuda"}, None),
        ("auto", {"kind": "interactive"}, "worker"),
        ("auto", {"draining": True}, "worker"),
    ],
)
def test_a_run_waits_for_a_worker_that_fits(
    store: Store, wanted: str, given: dict[str, object] | None, waiting_for: str | None
) -> None:
    ready_dataset(store)
    if given is not None:
        worker(store, **given)
    place = runs.queue_place(store, queued(store, device=wanted).id)
    assert place is not None
    assert place.waiting_for == waiting_for


def test_a_moved_run_is_taken_in_its_new_order(store: Store) -> None:
    ready_dataset(store)
    first, second, third = (queued(store).id for _ in range(3))
    assert move_run(store, third, before=first) == 1
    assert queued_ids(store) == [third, first, second]
    assert move_run(store, third, after=first) == 2
    assert move_run(store, first) == 3
    assert queued_ids(store) == [third, second, first]
    later = queued(store).id
    assert queued_ids(store) == [third, second, first, later]
    assert [claimed(store).run.id for _ in range(4)] == [third, second, first, later]


def test_the_next_run_is_found_without_sorting_the_queue(sqlite_store: Store) -> None:
    """PostgreSQL chooses by the size of the table; this one's planner does not."""
    ready_dataset(sqlite_store)
    queued(sqlite_store)
    said: list[tuple[str, object]] = []

    @event.listens_for(sqlite_store.engine, "before_cursor_execute")
    def note(_conn, _cursor, statement, parameters, *_) -> None:
        said.append((statement, parameters))

    claimed(sqlite_store)
    [(statement, parameters)] = [one for one in said if "coalesce(runs.place" in one[0]]
    with sqlite_store.read() as conn:
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    steps = [step for *_, step in plan]
    assert any("ix_runs_queue" in step for step in steps)
    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_a_moved_run_takes_the_nearest_priority_that_fits(store: Store) -> None:
    low, high = queued(store, priority=-5).id, queued(store, priority=5).id
    run = queued(store, priority=1).id
    priority = lambda: runs.get_run(store, run).priority  # noqa: E731
    assert queued_ids(store) == [high, run, low]
    move_run(store, run, before=high)
    assert (queued_ids(store), priority()) == ([run, high, low], 5)
    move_run(store, run)
    assert (queued_ids(store), priority()) == ([high, low, run], -5)
    move_run(store, run, before=low)
    assert (queued_ids(store), priority()) == ([high, run, low], -5)


def test_two_neighbours_can_change_places_for_ever(store: Store) -> None:
    ids = [queued(store).id for _ in range(4)]
    for _ in range(60):  # halves of a distance run out of digits after some 50
        ids = [ids[0], ids[2], ids[1], ids[3]]
        move_run(store, ids[1], after=ids[0])
        assert queued_ids(store) == ids
    for _ in range(60):
        ids = [*ids[1:], ids[0]]
        move_run(store, ids[-1])
        assert queued_ids(store) == ids


def test_a_move_that_cannot_be_says_why(store: Store) -> None:
    ready_dataset(store)
    busy = queued(store).id
    claimed(store)
    run, other = queued(store).id, queued(store).id
    with pytest.raises(Conflict, match="is running, not queued"):
        move_run(store, busy, before=run)
    with pytest.raises(Conflict, match="is running, not queued"):
        move_run(store, run, before=busy)
    with pytest.raises(NotFound):
        move_run(store, run, before=99)
    with pytest.raises(InvalidInput, match="another run"):
        move_run(store, run, before=run)
    with pytest.raises(InvalidInput, match="left out"):
        move_run(store, run, before=other, after=other)
