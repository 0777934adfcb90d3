from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from store import lifecycle, runs, studies
from store.database import Store
from store.tables import SPEC_FIELDS
from tests.store.helpers import claimed, queued, ready_dataset, spec
from trainer.errors import Conflict, InvalidInput, NotFound
from trainer.parsing import parse_spec


def test_a_run_is_queued_with_its_spec(store: Store) -> None:
    asked = spec("first", epochs=3, device="cuda")
    run, new = runs.create_run(store, asked, owner="ann", priority=2, note="why")
    assert new
    assert (run.name, run.owner, run.status, run.priority) == ("first", "ann", "queued", 2)
    assert (run.dataset_name, run.epochs, run.device_wanted) == ("digits", 3, "cuda")
    assert (run.note, run.attempt, run.progress, run.error) == ("why", 0, {}, None)
    assert parse_spec(run.spec) == asked
    assert runs.get_run(store, run.id) == run


def test_a_spec_without_a_name_gets_one(store: Store) -> None:
    run, _ = runs.create_run(store, spec(""), owner="ann")
    assert run.name == "small_cnn from scratch"


def test_every_field_of_the_spec_can_be_queried(store: Store) -> None:
    run, _ = runs.create_run(store, spec(epochs=7), owner="ann")
    with store.read() as conn:
        rows = conn.execute(select(SPEC_FIELDS).where(SPEC_FIELDS.c.run_id == run.id)).all()
    found = {row.path: (row.text, row.number) for row in rows}
    assert found["training.epochs"] == ("7", 7.0)
    assert found["optimizer.name"] == ("sgd", None)
    assert found["optimizer.momentum"] == ("null", None)
    assert found["model.head.hidden"] == ("[]", None)


def test_an_external_run_runs_at_once(store: Store) -> None:
    run, _ = runs.create_run(store, spec(), owner="ann", external=True)
    assert (run.status, run.external, run.attempt) == ("running", True, 0)
    assert run.started_at is not None


def test_a_key_makes_one_run(store: Store) -> None:
    first, new = runs.create_run(store, spec(), owner="ann", idempotency_key="k")
    again, new_again = runs.create_run(store, spec(), owner="ann", idempotency_key="k")
    assert (new, new_again, again) == (True, False, first)


def test_a_key_with_another_spec_is_refused(store: Store) -> None:
    first, _ = runs.create_run(store, spec(), owner="ann", idempotency_key="k")
    with pytest.raises(Conflict, match=f"run {first.id}"):
        runs.create_run(store, spec(epochs=9), owner="ann", idempotency_key="k")


def test_keys_are_their_owners(store: Store) -> None:
    first, _ = runs.create_run(store, spec(), owner="ann", idempotency_key="k")
    other, new = runs.create_run(store, spec(epochs=9), owner="bob", idempotency_key="k")
    assert new
    assert other.id != first.id


def test_a_key_used_at_the_same_moment_makes_one_run(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(
                lambda _: runs.create_run(store, spec(), owner="ann", idempotency_key="k"),
                range(8),
            )
        )
    assert len({run.id for run, _ in made}) == 1
    assert sum(new for _, new in made) == 1


@pytest.mark.parametrize("study_id", [5, 0, 2**40])
def test_a_run_for_an_unknown_study_is_refused(store: Store, study_id: int) -> None:
    with pytest.raises(NotFound, match="study"):
        runs.create_run(store, spec(), owner="ann", study_id=study_id)


@pytest.mark.parametrize("run_id", [3, 0, -1, 2**31, 2**70])
def test_an_unknown_run_says_so(store: Store, run_id: int) -> None:
    with pytest.raises(NotFound, match=f"There is no run {run_id}"):
        runs.get_run(store, run_id)
    with pytest.raises(NotFound):
        runs.update_note(store, run_id, "x")
    assert runs.attempts(store, run_id) == []


def test_runs_by_ids_keep_the_order_asked_for(store: Store) -> None:
    ids = [queued(store).id for _ in range(3)]
    asked = [ids[2], 99, ids[0], ids[2], 2**40]
    assert [run.id for run in runs.runs_by_ids(store, asked)] == [ids[2], ids[0]]


def test_a_note_can_be_written_on_an_ended_run(store: Store) -> None:
    run = queued(store)
    lifecycle.request_cancel(store, run.id)
    assert runs.update_note(store, run.id, "never\x00 mind").note == "never\ufffd mind"
    assert runs.get_run(store, run.id).note == "never\ufffd mind"


def test_pages_go_from_the_newest_to_the_oldest(store: Store) -> None:
    ids = [queued(store).id for _ in range(5)]
    seen: list[int] = []
    cursor = None
    sizes = []
    while True:
        page = runs.list_runs(store, limit=2, cursor=cursor)
        seen += [run.id for run in page.rows]
        sizes.append(len(page.rows))
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
        queued(store)  # what comes in between moves nothing
    assert seen == ids[::-1]
    assert sizes == [2, 2, 1]


def test_a_full_last_page_has_no_next(store: Store) -> None:
    queued(store)
    queued(store)
    assert runs.list_runs(store, limit=2).next_cursor is None


def test_filters_narrow_the_list(store: Store) -> None:
    study = studies.create_study(store, "s", "ann", [spec("one"), spec("two")])
    other, _ = runs.create_run(store, spec("three", dataset="faces"), owner="bob")
    lifecycle.request_cancel(store, other.id)

    def names(**filters: object) -> list[str]:
        return [run.name for run in runs.list_runs(store, **filters).rows]

    assert names() == ["three", "two", "one"]
    assert names(status="cancelled") == ["three"]
    assert names(status=["queued", "running"]) == ["two", "one"]
    assert names(study_id=study.id) == ["two", "one"]
    assert names(study_id=2**40) == []
    assert names(dataset="faces") == ["three"]
    assert names(owner="bob") == ["three"]
    assert names(status="queued", text="TW") == ["two"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", ["100% sure"]),
        ("_", ["a_b"]),
        ("\\", ["back\\slash"]),
        ("AXB", ["axb"]),
        ("  axb ", ["axb"]),
        ("", ["axb", "back\\slash", "100% sure", "a_b"]),
        ("2", ["100% sure"]),
        ("#1", ["a_b"]),
        ("9" * 30, []),
        ("'; --", []),
        ("\x00", []),
    ],
)
def test_text_is_looked_for_in_names_and_ids(store: Store, text: str, found: list[str]) -> None:
    for name in ("a_b", "100% sure", "back\\slash", "axb"):
        queued(store, name)
    assert [run.name for run in runs.list_runs(store, text=text).rows] == found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cursor", "abc"),
        ("cursor", "-1"),
        ("cursor", "9" * 30),
        ("cursor", "²"),
        ("limit", 0),
        ("limit", 501),
        ("status", "done"),
    ],
)
def test_a_bad_filter_is_named(store: Store, field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        runs.list_runs(store, **{field: value})
    assert caught.value.errors[0].field == field


def test_counts_name_every_status(store: Store) -> None:
    ready_dataset(store)
    queued(store)
    queued(store)
    claimed(store)
    assert runs.counts_by_status(store) == {
        "queued": 1,
        "running": 1,
        "paused": 0,
        "succeeded": 0,
        "failed": 0,
        "cancelled": 0,
    }
