from __future__ import annotations

import pytest

from store import datasets, lifecycle, runs
from store.database import Store
from store.dataset_changes import change_dataset, dataset_use, finished_upload
from tests.store.helpers import claimed, queued, ready_dataset, spec
from trainer.errors import Conflict, InvalidInput, NotFound


def test_a_dataset_is_described(store: Store) -> None:
    ready_dataset(store)
    row = change_dataset(store, "digits", title=" Numbers ", description="By hand.")
    assert (row.title, row.description) == ("Numbers", "By hand.")
    assert change_dataset(store, "digits", title="").description == "By hand."
    assert change_dataset(store, "digits").title == ""
    with pytest.raises(InvalidInput) as caught:
        change_dataset(store, "digits", title="x" * 201)
    assert caught.value.errors[0].field == "title"
    with pytest.raises(InvalidInput):
        change_dataset(store, "digits", new_name="numbers", description="x" * 10_001)
    assert datasets.get_dataset(store, "digits").name == "digits"  # all or nothing
    with pytest.raises(NotFound):
        change_dataset(store, "none", title="x")


def test_runs_go_with_a_renamed_dataset_whatever_their_state(store: Store) -> None:
    ready_dataset(store)
    running = claimed(store).run if queued(store) else None
    waiting = queued(store, "waits")
    assert running is not None
    row = change_dataset(store, "digits", new_name="numbers")
    assert (row.name, row.former_names) == ("numbers", ["digits"])
    for run_id in (running.id, waiting.id):
        assert runs.get_run(store, run_id).dataset_name == "numbers"
    assert runs.get_run(store, waiting.id).spec["dataset"]["name"] == "digits"  # as it was sent
    assert claimed(store).run.id == waiting.id


def test_the_old_name_still_leads_to_it(store: Store) -> None:
    ready_dataset(store)
    change_dataset(store, "digits", new_name="numbers")
    change_dataset(store, "numbers", new_name="figures")
    for name in ("digits", "numbers", "figures"):
        assert datasets.get_dataset(store, name).name == "figures"
    run, _ = runs.create_run(store, spec(dataset="digits"), owner="ann")
    assert run.dataset_name == "figures"
    lifecycle.request_cancel(store, run.id)
    assert change_dataset(store, "figures", new_name="digits").former_names == [
        "numbers",
        "figures",
    ]
    assert datasets.delete_dataset(store, "numbers").name == "digits"


def test_a_name_that_is_used_again_leads_to_its_new_owner(store: Store) -> None:
    ready_dataset(store)
    change_dataset(store, "digits", new_name="numbers")
    ready_dataset(store, "digits")
    assert datasets.get_dataset(store, "digits").former_names == []
    assert datasets.get_dataset(store, "numbers").former_names == ["digits"]


def test_names_that_cannot_be_are_refused(store: Store) -> None:
    ready_dataset(store)
    ready_dataset(store, "faces")
    datasets.register_dataset(store, "later", "catalogue", "digits", "ann")
    with pytest.raises(Conflict, match="`faces` already"):
        change_dataset(store, "digits", new_name="faces")
    with pytest.raises(Conflict, match="being prepared"):
        change_dataset(store, "later", new_name="now")
    with pytest.raises(InvalidInput):
        change_dataset(store, "digits", new_name="No Name")
    with pytest.raises(NotFound):
        change_dataset(store, "none", new_name="some")
    assert change_dataset(store, "digits", new_name="digits").former_names == []


def test_the_runs_that_use_it_are_counted(store: Store) -> None:
    ready_dataset(store)
    first, second = queued(store), queued(store)
    lifecycle.request_cancel(store, second.id)
    use = dataset_use(store, "digits")
    assert (use.runs, use.live, use.live_total) == (2, (first.id,), 1)
    assert dataset_use(store, "none").runs == 0


def test_collections_are_told_from_datasets(store: Store) -> None:
    ready_dataset(store)
    row = datasets.register_dataset(store, "photos", "folder", "/p", "ann", labelled=False)
    assert datasets.list_datasets(store, labelled=False) == [row]
    assert [one.name for one in datasets.list_datasets(store, labelled=True)] == ["digits"]
    with pytest.raises(Conflict):
        datasets.register_dataset(store, "photos", "folder", "/p", "ann")


def test_a_finished_upload_is_found_by_its_number(store: Store) -> None:
    row = datasets.register_dataset(store, "flowers", "upload", "00ff-flowers.zip", "ann")
    assert finished_upload(store, "00ff") == row
    assert finished_upload(store, "00") is None
    assert finished_upload(store, "____") is None
