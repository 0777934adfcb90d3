from __future__ import annotations

from typing import Any

import pytest

from store import evaluations, events, runs, series
from store.database import Store
from store.rows import RunRow
from tests.store.helpers import (
    NAN,
    checkpoint,
    epoch,
    evaluated,
    finished,
    log,
    queued,
    spec,
    started,
    steps,
)
from trainer import events as said
from trainer.errors import Conflict, InvalidInput, NotFound


def external(store: Store) -> RunRow:
    run, _ = runs.create_run(store, spec(), owner="ann", external=True)
    return run


def test_what_a_script_reports_becomes_rows(store: Store) -> None:
    run = external(store)
    after = runs.report_external(
        store, run.id, [started(), steps(1, 20), epoch(1), evaluated(), log("hello")]
    )
    assert (after.status, after.epoch, after.started["device"]) == ("running", 1, "cpu")
    assert len(series.series(store, [run.id], ["batch_loss"])[run.id, "batch_loss"]) == 20
    after = runs.report_external(store, run.id, [epoch(2, val_loss=NAN), finished()])
    assert (after.status, after.epoch) == ("succeeded", 2)
    assert after.finished["best_epoch"] == 2
    assert after.finished_at is not None
    rows = events.events_after(store, run.id, 0)
    assert [row.seq for row in rows] == list(range(1, 10))
    assert rows[-1].payload["status"] == "succeeded"
    assert runs.get_run(store, run.id) == after


def test_a_reported_failure_fails_the_run(store: Store) -> None:
    run = external(store)
    failure = said.RunFailed(time=1.0, title="Out of memory", detail="8 GB asked", remedy="Less.")
    after = runs.report_external(store, run.id, [failure])
    assert after.status == "failed"
    assert after.error == {"title": "Out of memory", "detail": "8 GB asked", "remedy": "Less."}


def test_paths_of_other_machines_are_not_kept(store: Store) -> None:
    run = external(store)
    runs.report_external(store, run.id, [evaluated(predictions_file="../../secret")])
    assert evaluations.evaluations(store, [run.id])[0].predictions_file == ""


def test_an_ended_run_takes_no_more(store: Store) -> None:
    run = external(store)
    ended = runs.report_external(store, run.id, [finished()])
    with pytest.raises(Conflict, match="has succeeded"):
        runs.report_external(store, run.id, [log("late")])
    assert runs.get_run(store, run.id) == ended


def test_a_run_of_tuneboards_takes_none(store: Store) -> None:
    run = queued(store)
    with pytest.raises(Conflict, match="external"):
        runs.report_external(store, run.id, [log("hello")])


@pytest.mark.parametrize("run_id", [9, 0, 2**40])
def test_an_unknown_run_says_so(store: Store, run_id: int) -> None:
    with pytest.raises(NotFound):
        runs.report_external(store, run_id, [log("hello")])


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        ([log("a"), checkpoint(1)], "events.1.kind"),
        ([finished(), log("after")], "events.1.kind"),
        ([steps(1, 3).model_copy(update={"loss": [1.0]})], "events.0.steps"),
        ([epoch(1, step=2**40)], "events.0.step"),
        ([steps(1, 3).model_copy(update={"steps": [1, 2, -3]})], "events.0.step"),
    ],
)
def test_a_bad_batch_is_refused_whole(store: Store, batch: list[Any], field: str) -> None:
    run = external(store)
    with pytest.raises(InvalidInput) as caught:
        runs.report_external(store, run.id, batch)
    assert caught.value.errors[0].field == field
    assert runs.get_run(store, run.id) == run
