from __future__ import annotations

import pytest

from store import lifecycle, runs, workers
from store.database import Store
from store.rows import QueuePlace, WorkerRow
from tests.store.helpers import claimed, queued, ready_dataset, spec


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
