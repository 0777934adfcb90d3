"""Searches: what is asked, what is done with an answer, and that it is done once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from store import lifecycle, runs, searches, studies
from store.database import Store
from store.rows import StudyRow, TrialRow
from store.searches import Question
from store.sweeps import swept_paths
from tests.store.helpers import claimed, epoch, ready_dataset, spec
from trainer.errors import Conflict, NotFound
from trainer.sweeps.expand import expand
from trainer.sweeps.file import as_sweep

BASE: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 4},
}
SPACE = {"optimizer.lr": {"low": 0.001, "high": 0.1, "log": True}}


def launch(store: Store, **search: Any) -> StudyRow:
    ready_dataset(store)
    sweep = as_sweep({"base": BASE, "space": SPACE, "kind": "search", "search": search})
    return studies.create_study(store, "s", "ann", sweep=expand(sweep), priority=2)


def asked(store: Store, study: StudyRow) -> Question:
    question = searches.look(store, study.id)
    assert question is not None
    return question


def trials(store: Store, study: StudyRow) -> tuple[TrialRow, ...]:
    sweep = studies.get_study(store, study.id).sweep
    assert sweep is not None
    return sweep.trials


def begin(store: Store, study: StudyRow, *rates: float) -> tuple[int, ...]:
    return searches.take(store, asked(store, study), [[rate] for rate in rates], []).run_ids


def train(store: Store, accuracy: float, outcome: Any = "succeeded") -> None:
    claim = claimed(store)
    told = [epoch(1, val_accuracy=accuracy)]
    lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
    lifecycle.finish(store, claim.run.id, claim.attempt, outcome)


def test_a_trial_becomes_a_run_with_the_drawn_values(store: Store) -> None:
    study = launch(store, trials=2)
    assert searches.searches_due(store) == [study.id]
    question = asked(store, study)
    assert (question.asked, question.wanted, question.judge) == (0, 1, {})
    [run_id] = searches.take(store, question, [[0.02]], []).run_ids
    run = runs.get_run(store, run_id)
    assert run.name == "trial 1: lr 0.02"
    assert run.spec["optimizer"]["lr"] == 0.02
    assert (run.study_id, run.owner, run.priority) == (study.id, "ann", 2)
    assert searches.searches_due(store) == []
    assert searches.look(store, study.id) is None


def test_a_search_ends_with_its_budget_and_knows_its_best(store: Store) -> None:
    study = launch(store, trials=3)
    for rate, accuracy in ((0.01, 0.5), (0.02, 0.8), (0.03, 0.6)):
        begin(store, study, rate)
        assert not studies.get_study(store, study.id).is_over
        train(store, accuracy)
        assert not studies.get_study(store, study.id).is_over  # more may follow
    assert searches.look(store, study.id) is None
    ended = studies.get_study(store, study.id)
    assert ended.is_over
    assert ended.sweep is not None
    assert [(one.state, one.value) for one in ended.sweep.trials] == [
        ("complete", 0.5),
        ("complete", 0.8),
        ("complete", 0.6),
    ]
    best = searches.best_trial(ended.sweep)
    assert best is not None
    assert best.number == 2
    assert searches.searching(store) == []


def test_the_question_holds_the_whole_search(store: Store) -> None:
    study = launch(store, trials=5, metric="best_val_loss", pruner="median", at_once=2)
    begin(store, study, 0.01, 0.02)
    claim = claimed(store)
    told = [epoch(1, val_loss=0.5), epoch(2, val_loss=0.4)]
    lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
    lifecycle.finish(store, claim.run.id, claim.attempt, "succeeded")
    payload = asked(store, study).payload
    assert payload["trials"] == [
        {"drawn": [0.01], "state": "complete", "value": 0.4, "reports": [(1, 0.5), (2, 0.4)]},
        {"drawn": [0.02], "state": "running", "value": None, "reports": []},
    ]
    assert payload["axes"] == [
        {"choices": 0, "low": 0.001, "high": 0.1, "log": True, "step": None, "whole": False}
    ]
    assert (payload["highest"], payload["wanted"], payload["budget"]) == (False, 1, 5)
    assert payload["epochs"] == 4


def test_an_answer_is_taken_once_however_many_ask(store: Store) -> None:
    study = launch(store, trials=8, at_once=2)
    question = asked(store, study)
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(
                lambda rate: searches.take(store, question, [[rate], [rate]], []),
                (0.01, 0.02, 0.03, 0.04),
            )
        )
    assert sorted(len(one.run_ids) for one in done) == [0, 0, 0, 2]
    assert [one.number for one in trials(store, study)] == [1, 2]
    assert len({tuple(one.drawn) for one in trials(store, study)}) == 1


def test_a_pruned_run_is_told_why_and_ends_cancelled(store: Store) -> None:
    study = launch(store, trials=3, pruner="median")
    [run_id] = begin(store, study, 0.01)
    claim = claimed(store)
    lifecycle.record(store, run_id, claim.attempt, lease_s=60, events=[epoch(1), epoch(2)])
    question = asked(store, study)
    assert (question.wanted, question.judge) == (0, {1: 2})
    assert searches.take(store, question, [], []).pruned == ()
    assert searches.look(store, study.id) is None  # the pruner has seen that epoch
    lifecycle.record(store, run_id, claim.attempt, lease_s=60, events=[epoch(3)])
    assert searches.take(store, asked(store, study), [], [1]).pruned == (run_id,)
    run = runs.get_run(store, run_id)
    assert run.cancel_requested
    assert searches.look(store, study.id) is None
    lifecycle.finish(store, run_id, claim.attempt, "cancelled")
    run = runs.get_run(store, run_id)
    assert run.status == "cancelled"
    assert run.error is not None
    assert run.error["title"] == "Given up by its search"
    assert run.error["detail"].startswith("Pruned after epoch 3: ")
    assert asked(store, study).payload["trials"][0]["state"] == "pruned"
    assert trials(store, study)[0].reason == run.error["detail"]


def test_a_trial_is_not_judged_in_its_last_epoch(store: Store) -> None:
    study = launch(store, trials=3, pruner="median")
    begin(store, study, 0.01)
    claim = claimed(store)
    told = [epoch(number) for number in range(1, 5)]
    lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
    assert searches.look(store, study.id) is None


def test_a_failed_trial_counts_and_five_in_a_row_end_the_search(store: Store) -> None:
    study = launch(store, trials=20)
    for number in range(searches.FAILURES_LIMIT):
        begin(store, study, 0.01 + number / 1000)
        train(store, 0.5, "failed")
    assert searches.look(store, study.id) is None
    ended = studies.get_study(store, study.id)
    assert ended.is_over
    assert ended.sweep is not None
    assert ended.sweep.reason.startswith("5 trials failed one after the other.")
    assert searches.best_trial(ended.sweep) is None


def test_values_that_do_not_go_together_are_a_failed_trial(store: Store) -> None:
    ready_dataset(store)
    base = {**BASE, "scheduler": {"name": "one_cycle", "max_lr": 0.05}}
    space = {"optimizer.lr": [0.001, 0.002], "scheduler.max_lr": {"low": 0.0015, "high": 0.1}}
    data = {"base": base, "space": space, "kind": "search"}
    sweep = expand(as_sweep({**data, "space": {**space, "optimizer.lr": [0.001, 0.0012]}}))
    study = studies.create_study(store, "s", "ann", sweep=sweep)
    done = searches.take(store, asked(store, study), [[0, 0.001]], [])
    assert done.run_ids == ()
    [trial] = trials(store, study)
    assert (trial.state, trial.run_id) == ("failed", None)
    assert "scheduler.max_lr" in trial.reason
    assert asked(store, study).asked == 1


def test_a_cancelled_or_vanished_run_is_a_failed_trial(store: Store) -> None:
    study = launch(store, trials=3)
    [run_id] = begin(store, study, 0.01)
    lifecycle.request_cancel(store, run_id)
    [trial] = asked(store, study).payload["trials"]
    assert trial["state"] == "failed"
    assert trials(store, study)[0].reason == "Its run was cancelled."


def test_a_search_is_stopped_by_its_user(store: Store) -> None:
    study = launch(store, trials=3)
    begin(store, study, 0.01)
    searches.stop_search(store, study.id)
    assert searches.look(store, study.id) is None  # it asks for no more
    assert not studies.get_study(store, study.id).is_over  # a trial goes on
    train(store, 0.5)
    assert searches.look(store, study.id) is None
    assert studies.get_study(store, study.id).is_over
    assert searches.searching(store) == []
    with pytest.raises(Conflict):
        searches.stop_search(store, study.id)
    with pytest.raises(NotFound):
        searches.stop_search(store, 99)


def test_a_trial_that_ends_after_the_stop_still_has_its_value(store: Store) -> None:
    study = launch(store, trials=3)
    begin(store, study, 0.01)
    searches.stop_search(store, study.id)
    train(store, 0.7)
    searches.look(store, study.id)
    sweep = studies.get_study(store, study.id).sweep
    assert sweep is not None
    best = searches.best_trial(sweep)
    assert best is not None
    assert best.value == 0.7


def test_swept_paths_are_those_of_the_sweep_or_those_that_differ(store: Store) -> None:
    study = launch(store)
    assert swept_paths(store, study.id) == ["optimizer.lr"]
    grid = as_sweep({"base": BASE, "space": {"training.batch_size": [8, 16]}, "seeds": 2})
    expansion = expand(grid)
    specs = [run.spec for run in expansion.runs]
    swept = studies.create_study(store, "g", "ann", specs, sweep=expansion)
    assert swept_paths(store, swept.id) == ["training.batch_size", "training.seed"]
    assert len(swept.run_ids) == 4
    other = studies.create_study(store, "o", "ann", [spec("a", epochs=1), spec("b", epochs=2)])
    assert swept_paths(store, other.id) == ["training.epochs"]
    assert swept_paths(store, 10**12) == []
