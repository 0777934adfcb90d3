"""Steps of studies: what begins when, what is chosen, and what happens when something fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from store import datasets, jobs, lifecycle, runs, series, steps, studies
from store.database import Store
from store.rows import RunRow, StepRow, StudyRow
from store.study_tables import STUDY_STEPS
from store.tables import JOBS, RUNS
from tests.store.helpers import claimed, epoch, evaluated, ready_dataset
from trainer.planning import plan
from trainer.recipes import as_recipe

SECTIONS: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
}
SWEEP = {"name": "sweep", "runs": [{"name": f"lr {lr}", "optimizer": {"lr": lr}} for lr in (1, 2)]}
LONGER = {
    "name": "longer",
    "runs": [{"from": "best_of(sweep, best_val_accuracy)", "training": {"epochs": 7}}],
}


def launch(store: Store, *given: Mapping[str, Any], **options: Any) -> StudyRow:
    recipe = as_recipe({"name": "s", "common": SECTIONS, "steps": list(given)})
    planned = plan(recipe, **options)
    return studies.create_study(store, "s", "ann", steps=planned, priority=3)


def train(store: Store, accuracy: float | None = 0.5, outcome: Any = "succeeded") -> RunRow:
    """Claim the next run and end it, having reached that validation accuracy."""
    claim = claimed(store)
    if accuracy is not None:
        told = [epoch(1, val_accuracy=accuracy, val_loss=1 - accuracy)]
        lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
    return lifecycle.finish(store, claim.run.id, claim.attempt, outcome)


def now(store: Store, study: StudyRow) -> StudyRow:
    return studies.get_study(store, study.id)


def step(store: Store, study: StudyRow, name: str) -> StepRow:
    [found] = [one for one in now(store, study).steps if one.name == name]
    return found


def states(store: Store, study: StudyRow) -> list[str]:
    return [one.state for one in now(store, study).steps]


def test_a_study_begins_with_the_steps_that_wait_for_none(store: Store) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, LONGER)
    assert [(one.name, one.state, one.after) for one in study.steps] == [
        ("sweep", "running", []),
        ("longer", "waiting", ["sweep"]),
    ]
    assert study.steps[0].run_ids == study.run_ids
    assert study.counts == {"queued": 2}
    assert not study.is_over
    assert steps.advance(store) == steps.Begun()


def test_the_best_run_is_trained_on_with_what_the_later_one_changes(store: Store) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, LONGER)
    train(store, 0.4)
    assert steps.advance(store, study.id) == steps.Begun()
    best = train(store, 0.9)
    begun = steps.advance(store, study.id)
    later = step(store, study, "longer")
    assert begun.run_ids == later.run_ids
    run = runs.get_run(store, later.run_ids[0])
    assert run.spec["optimizer"]["lr"] == 2
    assert run.spec["training"]["epochs"] == run.epochs == 7
    assert (run.name, run.study_id, run.priority) == ("lr 2, longer", study.id, 3)
    [choice] = later.choices
    assert (choice["run"], choice["chosen"], choice["value"]) == (run.id, best.id, 0.9)
    assert choice["values"] == [[study.run_ids[0], 0.4], [study.run_ids[1], 0.9]]
    assert states(store, study) == ["ended", "running"]
    train(store)
    steps.advance(store)
    assert states(store, study) == ["ended", "ended"]
    assert now(store, study).is_over


@pytest.mark.parametrize(
    ("metric", "accuracies", "chosen"),
    [
        ("best_val_accuracy", (0.5, 0.5), 0),
        ("best_val_loss", (0.2, 0.6), 1),
        ("best_val_loss", (0.6, 0.6), 0),
        ("final_val_accuracy", (0.3, 0.4), 1),
        ("best_val_accuracy", (None, 0.1), 1),
    ],
)
def test_ties_go_to_the_earlier_run_and_losses_to_the_lowest(
    store: Store, metric: str, accuracies: tuple[float | None, ...], chosen: int
) -> None:
    ready_dataset(store)
    later = {"name": "longer", "runs": [{"from": f"best_of(sweep, {metric})"}]}
    study = launch(store, SWEEP, later)
    for accuracy in accuracies:
        train(store, accuracy)
    steps.advance(store)
    assert step(store, study, "longer").choices[0]["chosen"] == study.run_ids[chosen]


def test_a_test_accuracy_can_choose(store: Store) -> None:
    ready_dataset(store)
    later = {"name": "longer", "runs": [{"from": "best_of(sweep, test_accuracy)"}]}
    study = launch(store, SWEEP, later)
    for accuracy in (0.3, 0.2):
        claim = claimed(store)
        told = [evaluated(split="test", accuracy=accuracy), evaluated(accuracy=1 - accuracy)]
        lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
        lifecycle.finish(store, claim.run.id, claim.attempt, "succeeded")
    steps.advance(store)
    assert step(store, study, "longer").choices[0]["chosen"] == study.run_ids[0]


def test_the_choice_falls_among_those_that_succeeded(store: Store) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, LONGER)
    train(store, 0.9, "failed")
    train(store, 0.2)
    steps.advance(store)
    assert step(store, study, "longer").choices[0]["chosen"] == study.run_ids[1]


def test_a_step_with_nothing_to_choose_from_is_skipped_and_says_why(store: Store) -> None:
    ready_dataset(store)
    last = {"name": "last", "runs": [{"name": "x"}]}
    study = launch(store, SWEEP, LONGER, last)
    train(store, 0.9, "failed")
    lifecycle.request_cancel(store, study.run_ids[1])
    assert steps.advance(store) == steps.Begun()
    assert states(store, study) == ["ended", "skipped", "skipped"]
    assert step(store, study, "longer").reason == "None of the 2 runs of step sweep succeeded."
    assert step(store, study, "last").reason == "Step longer was skipped."
    assert now(store, study).is_over


def test_runs_without_the_number_are_nothing_to_choose_from(store: Store) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, LONGER)
    train(store, None)
    train(store, None)
    steps.advance(store)
    assert "best_val_accuracy" in step(store, study, "longer").reason


def test_a_step_that_only_waits_goes_on_after_failures(store: Store) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, {"name": "other", "runs": [{"name": "x"}]})
    train(store, None, "failed")
    train(store, None, "failed")
    steps.advance(store)
    assert states(store, study) == ["ended", "running"]


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_step_that_says_stop_ends_the_study_when_a_run_fails(store: Store, outcome: str) -> None:
    ready_dataset(store)
    study = launch(store, {**SWEEP, "when_failed": "stop"}, LONGER)
    train(store, 0.9)
    train(store, 0.2, outcome)
    steps.advance(store)
    assert states(store, study) == ["ended", "skipped"]
    said = "failed" if outcome == "failed" else "was cancelled"
    reason = f"In step sweep, run {study.run_ids[1]} {said}; it says to stop then."
    assert step(store, study, "longer").reason == reason


def test_steps_without_a_common_one_run_side_by_side(store: Store) -> None:
    ready_dataset(store)
    side = {"name": "side", "after": [], "runs": [{"name": "x"}]}
    both = {"name": "both", "after": ["sweep", "side"], "runs": [{"name": "y"}]}
    study = launch(store, SWEEP, side, both)
    assert states(store, study) == ["running", "running", "waiting"]
    for _ in range(2):
        train(store)
    steps.advance(store)
    assert states(store, study) == ["ended", "running", "waiting"]
    train(store)
    steps.advance(store)
    assert states(store, study) == ["ended", "ended", "running"]


def test_a_choice_among_chosen_runs_keeps_what_each_was_chosen_for(store: Store) -> None:
    ready_dataset(store)
    again = {
        "name": "again",
        "runs": [{"from": "best_of(longer, final_val_loss)", "training": {"batch_size": 8}}],
    }
    study = launch(store, SWEEP, LONGER, again)
    for accuracy in (0.1, 0.3, 0.5):
        train(store, accuracy)
        steps.advance(store)
    run = runs.get_run(store, step(store, study, "again").run_ids[0])
    assert run.spec["optimizer"]["lr"] == 2
    assert (run.epochs, run.spec["training"]["batch_size"]) == (7, 8)


@pytest.mark.parametrize("gone", ["deleted", "failed"])
def test_a_dataset_that_is_gone_skips_the_step_with_the_field(store: Store, gone: str) -> None:
    ready_dataset(store)
    ready_dataset(store, "later")
    later = {"name": "longer", "runs": [{"name": "x", "dataset": {"name": "later"}}]}
    study = launch(store, {"name": "one", "runs": [{"name": "y"}]}, later)
    if gone == "deleted":
        datasets.delete_dataset(store, "later")
    else:
        with store.write() as conn:
            conn.execute(
                update(datasets.DATASETS)
                .where(datasets.DATASETS.c.name == "later")
                .values(status="failed")
            )
    train(store)
    steps.advance(store)
    skipped = step(store, study, "longer")
    assert skipped.state == "skipped"
    assert [error["field"] for error in skipped.errors] == ["runs.0.dataset.name"]
    assert now(store, study).is_over


def test_a_spec_that_is_no_longer_valid_skips_the_step_with_the_field(store: Store) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, LONGER)
    with store.write() as conn:
        row = conn.execute(select(STUDY_STEPS).where(STUDY_STEPS.c.name == "longer")).one()
        for option in row.options:
            option["spec"]["optimizer"]["lr"] = 3000
        conn.execute(
            update(STUDY_STEPS).where(STUDY_STEPS.c.id == row.id).values(options=row.options)
        )
    train(store)
    train(store)
    assert steps.advance(store) == steps.Begun()
    skipped = step(store, study, "longer")
    assert (skipped.state, skipped.run_ids) == ("skipped", ())
    assert [error["field"] for error in skipped.errors] == ["runs.0.optimizer.lr"]


VOTE = {"name": "vote", "vote": {"of": ["sweep"], "preferred": "lr 2"}}


def evaluate(store: Store, fingerprint: str = "a" * 64, outcome: Any = "succeeded") -> RunRow:
    claim = claimed(store)
    told = [evaluated(samples_fingerprint=fingerprint)]
    lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
    return lifecycle.finish(store, claim.run.id, claim.attempt, outcome)


def test_a_vote_becomes_a_job_whose_result_stays_with_the_study(store: Store) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, VOTE, {"name": "last", "runs": [{"name": "x"}]})
    evaluate(store)
    evaluate(store)
    [job_id] = steps.advance(store).job_ids
    job = jobs.claim_job(store, 60)
    assert job is not None
    assert (job.id, job.kind, job.owner) == (job_id, "vote", "ann")
    assert job.payload["runs"] == list(study.run_ids)
    assert job.payload["prefer"] == study.run_ids[1]
    assert steps.advance(store) == steps.Begun()
    assert jobs.job_succeeded(store, job, {"accuracy": 0.75, "file": "votes.csv"})
    assert len(steps.advance(store).run_ids) == 1
    with store.write() as conn:
        conn.execute(JOBS.delete())
    voted = step(store, study, "vote")
    assert (voted.state, voted.vote) == ("ended", {"accuracy": 0.75, "file": "votes.csv"})


def test_a_vote_goes_on_without_a_run_that_failed_unless_too_few_are_left(store: Store) -> None:
    ready_dataset(store)
    three = {**SWEEP, "runs": [*SWEEP["runs"], {"name": "third"}]}
    study = launch(store, three, VOTE)
    for outcome in ("succeeded", "failed", "succeeded"):
        evaluate(store, outcome=outcome)
    steps.advance(store)
    [said] = step(store, study, "vote").choices
    first, second, third = study.run_ids
    assert (said["voters"], said["left_out"], said["preferred"]) == (
        [first, third],
        [second],
        first,
    )
    other = launch(store, SWEEP, VOTE)
    evaluate(store)
    evaluate(store, outcome="failed")
    steps.advance(store)
    assert step(store, other, "vote").state == "skipped"
    assert "Only 1 of the 2 runs" in step(store, other, "vote").reason


def test_runs_evaluated_on_different_images_do_not_vote(store: Store) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, VOTE)
    evaluate(store)
    evaluate(store, "b" * 64)
    assert steps.advance(store).job_ids == ()
    assert "other val images" in step(store, study, "vote").reason


@pytest.mark.parametrize("how", ["failed", "gone"])
def test_a_vote_that_fails_ends_its_step_and_says_how(store: Store, how: str) -> None:
    ready_dataset(store)
    last = {"name": "last", "runs": [{"name": "x"}]}
    study = launch(store, SWEEP, {**VOTE, "when_failed": "stop"}, last)
    evaluate(store)
    evaluate(store)
    steps.advance(store)
    if how == "failed":
        job = jobs.claim_job(store, 60)
        assert job is not None
        assert jobs.job_failed(store, job, {"detail": "No disk.", "remedy": "Make room."})
    else:
        with store.write() as conn:
            conn.execute(JOBS.delete())
    steps.advance(store)
    voted = step(store, study, "vote")
    expected = "No disk. Make room." if how == "failed" else "Its job is gone."
    assert (voted.state, voted.reason) == ("ended", f"The vote failed: {expected}")
    assert step(store, study, "last").state == "skipped"


def slowly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that leaves others time to get between what was read and its writing."""

    def slow(*given: Any, **named: Any) -> Any:
        time.sleep(0.2)
        return function(*given, **named)

    return slow


@pytest.mark.parametrize("kind", ["runs", "vote"])
def test_a_step_begins_once_however_many_look_at_the_same_time(
    store: Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_dataset(store)
    study = launch(store, SWEEP, LONGER if kind == "runs" else VOTE)
    evaluate(store)
    evaluate(store)
    lookers = 6
    together = threading.Barrier(lookers)
    for name in ("add_run", "add_job"):
        monkeypatch.setattr(steps, name, slowly(getattr(steps, name)))

    def look(_: int) -> steps.Begun:
        with store.read():  # a connection of its own, so that nobody has to wait for one
            together.wait()
        return steps.advance(store)

    with store.write() as conn:
        for run_id in study.run_ids:  # a value to choose by
            points = series.columns_of([series.Point(1, 1.0, 1.0, 0.5)])
            series.append(conn, run_id, {"val_accuracy": points})
        # Ending the step before, too, would make them wait for each other.
        conn.execute(update(STUDY_STEPS).where(STUDY_STEPS.c.name == "sweep").values(state="ended"))
    with ThreadPoolExecutor(lookers) as pool:
        begun = list(pool.map(look, range(lookers)))
    assert sum(len(one.run_ids) + len(one.job_ids) for one in begun) == 1
    with store.read() as conn:
        total = len(conn.execute(select(RUNS.c.id)).all())
        voting = len(conn.execute(select(JOBS.c.id)).all())
    assert (total, voting) == ((3, 0) if kind == "runs" else (2, 1))


def test_ends_at_the_same_time_begin_the_next_step_once(store: Store) -> None:
    ready_dataset(store)
    members = [{"name": f"lr {n}", "optimizer": {"lr": n / 100}} for n in range(1, 7)]
    study = launch(store, {"name": "sweep", "runs": members}, LONGER)
    claims = [claimed(store) for _ in members]
    together = threading.Barrier(len(claims))

    def end(claim: lifecycle.Claim) -> int:
        told = [epoch(1, val_accuracy=0.1 * claim.run.spec["optimizer"]["lr"])]
        lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
        with store.read():
            together.wait()
        lifecycle.finish(store, claim.run.id, claim.attempt, "succeeded")
        return len(steps.advance(store, study.id).run_ids)

    with ThreadPoolExecutor(len(claims)) as pool:
        begun = list(pool.map(end, claims))
    assert sum(begun) == 1
    later = step(store, study, "longer")
    assert later.choices[0]["chosen"] == study.run_ids[-1]
