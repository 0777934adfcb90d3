from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from store import datasets, lifecycle, runs
from store.database import Store
from store.rows import DatasetRow
from store.tables import DATASETS
from tests.store.helpers import claimed, queued, ready_dataset, spec
from trainer.errors import Conflict, InvalidInput, NotFound

ERROR = {"title": "No images", "detail": "0 of 3 files are images.", "remedy": "", "errors": []}


def register(store: Store, name: str = "digits", source: str = "digits") -> DatasetRow:
    return datasets.register_dataset(store, name, "catalogue", source, "ann", title="Digits")


def test_a_dataset_is_registered_to_be_prepared(store: Store) -> None:
    row = register(store)
    assert (row.status, row.title, row.owner, row.summary) == ("preparing", "Digits", "ann", {})
    assert datasets.get_dataset(store, "digits") == row
    assert datasets.get_dataset_by_id(store, row.id) == row
    assert datasets.list_datasets(store) == [row]


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "a b", "a/b", "a" * 65, "ä", "a\n", "a\x00"])
def test_a_name_that_cannot_be_one_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        register(store, name)
    assert caught.value.errors[0].field == "name"


def test_an_unknown_kind_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match="catalogue, folder, upload"):
        datasets.register_dataset(store, "a", "ftp", "x", "ann")


def test_registering_the_same_again_returns_it(store: Store) -> None:
    row = register(store)
    assert register(store) == row
    datasets.dataset_ready(store, row.id, "f", {})
    assert register(store).status == "ready"


def test_a_name_of_other_data_is_refused(store: Store) -> None:
    register(store)
    with pytest.raises(Conflict, match="already, made from catalogue `digits`"):
        register(store, source="faces")


def test_a_failed_dataset_is_tried_again(store: Store) -> None:
    row = register(store)
    datasets.claim_preparation(store, 60)
    assert datasets.dataset_failed(store, row.id, ERROR)
    failed = datasets.get_dataset(store, "digits")
    assert (failed.status, failed.error) == ("failed", ERROR)
    assert datasets.claim_preparation(store, 60) is None
    again = register(store)
    assert (again.id, again.status, again.error) == (row.id, "preparing", None)
    assert datasets.claim_preparation(store, 60) is not None


def test_registering_at_the_same_moment_makes_one(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: register(store), range(8)))
    assert len({row.id for row in made}) == 1


def test_each_preparation_is_claimed_once(store: Store) -> None:
    for name in ("a", "b", "c"):
        register(store, name, name)
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda _: datasets.claim_preparation(store, 60), range(6)))
    assert sorted(row.name for row in got if row) == ["a", "b", "c"]


def test_a_preparation_whose_lease_ran_out_is_claimed_anew(store: Store) -> None:
    row = register(store)
    assert datasets.claim_preparation(store, 60) is not None
    assert datasets.claim_preparation(store, 60) is None
    with store.write() as conn:
        conn.execute(update(DATASETS).values(lease_expires_at=store.now(conn) - 1))
    again = datasets.claim_preparation(store, 60)
    assert again is not None
    assert again.id == row.id


def test_a_beat_keeps_the_lease_and_tells_progress(store: Store) -> None:
    row = register(store)
    datasets.claim_preparation(store, -1)
    assert datasets.beat_preparation(store, row.id, {"files": 3, "rate": float("nan")}, 60)
    assert datasets.get_dataset(store, "digits").progress == {"files": 3, "rate": None}
    assert datasets.claim_preparation(store, 60) is None


def test_ready_says_what_there_is(store: Store) -> None:
    row = register(store)
    datasets.beat_preparation(store, row.id, {"files": 3}, 60)
    assert datasets.dataset_ready(store, row.id, "abc", {"classes": ["0"], "samples": 3})
    ready = datasets.get_dataset(store, "digits")
    assert (ready.status, ready.fingerprint, ready.progress) == ("ready", "abc", {})
    assert ready.summary == {"classes": ["0"], "samples": 3}
    assert ready.lease_expires_at is None


def test_a_preparation_no_longer_wanted_learns_it(store: Store) -> None:
    row = register(store)
    datasets.delete_dataset(store, "digits")
    assert not datasets.beat_preparation(store, row.id, {}, 60)
    assert not datasets.dataset_ready(store, row.id, "abc", {})
    assert not datasets.dataset_failed(store, row.id, ERROR)


def test_an_unknown_dataset_names_the_nearest(store: Store) -> None:
    register(store)
    with pytest.raises(NotFound, match="Did you mean `digits`"):
        datasets.get_dataset(store, "digit")
    for number in (9, 0, 2**40):
        with pytest.raises(NotFound):
            datasets.get_dataset_by_id(store, number)
    with pytest.raises(NotFound):
        datasets.delete_dataset(store, "none\x00")


def test_a_dataset_that_live_runs_use_stays(store: Store) -> None:
    ready_dataset(store)
    waiting, working = queued(store), queued(store, priority=1)
    claimed(store)
    with pytest.raises(Conflict, match=f"runs {waiting.id}, {working.id}"):
        datasets.delete_dataset(store, "digits")
    lifecycle.request_cancel(store, waiting.id)
    with pytest.raises(Conflict, match=f"run {working.id}"):
        datasets.delete_dataset(store, "digits")
    lifecycle.finish(store, working.id, 1, "succeeded")
    assert datasets.delete_dataset(store, "digits").name == "digits"
    assert datasets.list_datasets(store) == []


def test_a_refusal_names_the_first_runs_only(store: Store) -> None:
    ready_dataset(store)
    for _ in range(12):
        queued(store)
    with pytest.raises(Conflict, match="10 and more"):
        datasets.delete_dataset(store, "digits")


def test_external_runs_do_not_hold_a_dataset(store: Store) -> None:
    ready_dataset(store)
    runs.create_run(store, spec(), owner="ann", external=True)
    datasets.delete_dataset(store, "digits")


def test_an_id_is_never_used_again(store: Store) -> None:
    row = register(store)
    datasets.delete_dataset(store, "digits")
    assert register(store).id > row.id
