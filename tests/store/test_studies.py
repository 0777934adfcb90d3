from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from store import lifecycle, runs, studies
from store.database import Store
from tests.store.helpers import spec
from trainer.errors import Conflict, NotFound


def test_a_study_and_its_runs_are_made_together(store: Store) -> None:
    specs = [spec("one"), spec("two")]
    study = studies.create_study(store, "both", "ann", specs, note="why", priority=3)
    assert (study.name, study.note, study.counts) == ("both", "why", {"queued": 2})
    made = runs.runs_by_ids(store, study.run_ids)
    assert [(run.name, run.study_id, run.priority) for run in made] == [
        ("one", study.id, 3),
        ("two", study.id, 3),
    ]
    assert studies.get_study(store, study.id) == study


def test_a_study_is_made_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def fail_at_the_second(*args: object, **named: object) -> object:
        if made:
            raise RuntimeError
        made.append(runs.add_run(*args, **named))
        return made[0]

    monkeypatch.setattr(studies, "add_run", fail_at_the_second)
    with pytest.raises(RuntimeError):
        studies.create_study(store, "both", "ann", [spec(), spec()])
    assert studies.list_studies(store) == []
    assert runs.list_runs(store).rows == []


REQUEST = studies.RequestKey("k", "what is asked for")


def test_a_key_makes_one_study(store: Store) -> None:
    first = studies.create_study(store, "one", "ann", [spec()], request=REQUEST)
    again = studies.create_study(store, "one", "ann", [spec()], request=REQUEST)
    assert again == first == studies.study_of_request(store, "ann", REQUEST)
    assert len(runs.list_runs(store).rows) == 1
    assert studies.create_study(store, "one", "ann", [spec()]).id != first.id


def test_a_key_with_another_request_is_refused(store: Store) -> None:
    first = studies.create_study(store, "one", "ann", request=REQUEST)
    other = studies.RequestKey("k", "something else")
    with pytest.raises(Conflict, match=f"another study, {first.id}"):
        studies.create_study(store, "two", "ann", request=other)
    with pytest.raises(Conflict):
        studies.study_of_request(store, "ann", other)


def test_keys_are_their_owners(store: Store) -> None:
    first = studies.create_study(store, "one", "ann", request=REQUEST)
    assert studies.study_of_request(store, "bob", REQUEST) is None
    assert studies.create_study(store, "two", "bob", request=REQUEST).id != first.id


def test_a_key_used_at_the_same_moment_makes_one_study(store: Store) -> None:
    def create(_: int) -> int:
        return studies.create_study(store, "one", "ann", [spec()], request=REQUEST).id

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(create, range(8)))
    assert len(made) == len(studies.list_studies(store)) == len(runs.list_runs(store).rows) == 1


def test_counts_follow_the_runs(store: Store) -> None:
    study = studies.create_study(store, "both", "ann", [spec(), spec(), spec()])
    lifecycle.request_cancel(store, study.run_ids[0])
    assert studies.get_study(store, study.id).counts == {"queued": 2, "cancelled": 1}


def test_studies_are_listed_newest_first(store: Store) -> None:
    first = studies.create_study(store, "first", "ann", [spec()])
    second = studies.create_study(store, "second", "ann")
    assert studies.list_studies(store) == [second, first]
    assert studies.list_studies(store, limit=1) == [second]
    assert (second.run_ids, second.counts) == ((), {})


@pytest.mark.parametrize("study_id", [4, 0, 2**40])
def test_an_unknown_study_says_so(store: Store, study_id: int) -> None:
    with pytest.raises(NotFound, match="study"):
        studies.get_study(store, study_id)
