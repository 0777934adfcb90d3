from __future__ import annotations

import pytest

from store import lifecycle, runs, studies
from store.database import Store
from tests.store.helpers import spec
from trainer.errors import NotFound


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
