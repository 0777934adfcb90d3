"""Steps of studies: what begins when, what is chosen, and what happens when something fails."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from store import datasets, jobs, lifecycle, runs, steps
from store.database import Store
from store.study_tables import STUDY_STEPS
from store.tables import JOBS
from tests.store.helpers import claimed, evaluated, ready_dataset
from tests.store.step_studies import (
    LONGER,
    SWEEP,
    VOTE,
    evaluate,
    launch,
    now,
    states,
    step,
    train,
)


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
