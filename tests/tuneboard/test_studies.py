"""Studies in steps from the command line and the client: launched, shown, followed to the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from store import jobs, lifecycle, steps
from tests.tuneboard.conftest import Served
from tests.tuneboard.test_cli import tuneboard
from trainer.recipes import as_recipe, load_recipe
from tuneboard.client import Client
from tuneboard.recipe import steps_to_send

Begin = Callable[[Callable[[], Any]], Future[Any]]

COMMON: dict[str, Any] = {
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 2},
}
REPORTED = [{"metric": "best_val_accuracy", "value": 0.75, "kind": "measured"}]
STUDY: dict[str, Any] = {
    "name": "In steps",
    "dataset": "digits",
    "common": COMMON,
    "steps": [
        {"name": "sweep", "runs": [{"name": f"lr {lr}", "optimizer": {"lr": lr}} for lr in (1, 2)]},
        {
            "name": "longer",
            "runs": [
                {
                    "from": "best_of(sweep, best_val_accuracy)",
                    "training": {"epochs": 3},
                    "reported": REPORTED,
                    "reported_with": {"optimizer": {"lr": 2}},
                }
            ],
        },
        {"name": "vote", "vote": {"of": ["sweep"], "preferred": "lr 2"}},
    ],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(STUDY))
    return path


def train(served: Served, accuracies: list[float], *, is_failing: bool = False) -> None:
    """Do what workers would: train one run after another, and then the vote."""
    for top in accuracies:
        teller = served.take_next()
        teller.top = top
        if is_failing:
            lifecycle.finish(served.store, teller.run_id, teller.attempt, "failed")
        else:
            teller.whole()
        steps.advance(served.store)
    job = jobs.claim_job(served.store, 60)
    if job is not None:
        members = [{"run": str(run_id), "accuracy": 0.5} for run_id in job.payload["runs"]]
        result = {"accuracy": 0.625, "samples": 360, "members": members}
        assert jobs.job_succeeded(served.store, job, result)
    steps.advance(served.store)


def test_submitting_a_study_follows_it_to_its_last_step(
    served: Served, file: Path, meanwhile: Begin
) -> None:
    meanwhile(lambda: train(served, [0.5, 0.9, 0.9]))
    result = tuneboard("submit", file, "--watch")
    assert result.exit_code == 0, result.stderr
    assert [line.split("\t")[0] for line in result.stdout.splitlines()[:2]] == ["1", "2"]
    assert "Step longer begins after sweep." in result.stderr
    assert "lr 2, longer: succeeded" in result.stderr
    assert "vote: majority of runs 1, 2, accuracy 62.5 %" in result.stdout
    with Client() as client:
        study = client.study(1)
    assert study["is_over"]
    assert study["runs"][2]["spec"]["optimizer"]["lr"] == 2
    assert study["runs"][2]["published"]["differences"] == []


def test_a_study_whose_later_step_is_skipped_exits_1_and_says_why(
    served: Served, file: Path, meanwhile: Begin
) -> None:
    meanwhile(lambda: train(served, [0.5, 0.9], is_failing=True))
    result = tuneboard("submit", file, "--watch")
    assert result.exit_code == 1
    assert "Step longer: skipped. None of the 2 runs of step sweep succeeded." in result.stderr


def test_a_wrong_step_exits_2_and_names_the_field(served: Served, tmp_path: Path) -> None:
    wrong = {**STUDY, "steps": [STUDY["steps"][1]]}
    (tmp_path / "wrong.yaml").write_text(json.dumps(wrong))
    result = tuneboard("submit", tmp_path / "wrong.yaml")
    assert result.exit_code == 2
    assert "steps.0.runs.0.from" in result.stderr


@pytest.mark.parametrize("name", ["s3-scratch-or-transfer", "s5-cifar10"])
def test_what_is_sent_of_a_recipe_is_the_recipe(name: str) -> None:
    whole = load_recipe(name)
    sent = as_recipe({"study_data": whole.study_data, "steps": steps_to_send(whole)})
    assert [run.name for run in sent.runs] == [run.name for run in whole.runs]
    assert sent.specs == whole.specs
    assert [run.reported for run in sent.runs] == [run.reported for run in whole.runs]
    assert [run.reported_with for run in sent.runs] == [run.reported_with for run in whole.runs]
    assert [step.vote for step in sent.steps] == [step.vote for step in whole.steps]


def test_a_recipe_in_steps_is_shown_and_followed(served: Served, meanwhile: Begin) -> None:
    shown = tuneboard("recipes", "show", "s5-cifar10").stdout
    assert "Step winner, after dropout sweep" in shown
    assert "begins with the best run of dropout sweep by best_val_accuracy" in shown
    assert "- vote of MobileNetV2" in tuneboard("recipes", "show", "s3-scratch-or-transfer").stdout
    tops = [0.5] * 7 + [0.9, 0.4, 0.3] + [0.6]
    meanwhile(lambda: train(served, tops))
    result = tuneboard(
        "recipes", "run", "s5-cifar10", "--dataset", "digits", "--scale", "small", "--substitute",
        "--watch",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    with Client() as client:
        study = client.study(1)
    [winner] = study["steps"][2]["runs"]
    chosen = next(run for run in study["runs"] if run["id"] == winner["chosen"])
    assert chosen["name"].startswith("tiny, dropout 0.2")
    last = study["runs"][-1]
    assert last["spec"]["model"]["head"]["dropout"] == 0.2
    assert "model.head.dropout 0.2 in place of 0.3" in last["published"]["differences"]


def test_waiting_for_a_study_tells_of_new_runs_and_has_an_end(
    served: Served, meanwhile: Begin
) -> None:
    told: list[int] = []
    seen: list[tuple[int, int]] = []
    recipe = as_recipe(STUDY)
    with Client() as client:
        study = client.launch_study("s", steps=steps_to_send(recipe))
        with pytest.raises(TimeoutError, match=str(study["id"])):
            client.wait_study(study["id"], timeout_s=0.2)
        meanwhile(lambda: train(served, [0.5, 0.9, 0.9]))
        ended = client.wait_study(
            study["id"],
            on_runs=lambda runs: told.extend(run["id"] for run in runs),
            on_event=lambda event: seen.append((event.run_id, event.seq)),
            timeout_s=60,
        )
    assert told == [1, 2, 3]
    assert ended["is_over"]
    assert len(seen) == len(set(seen))
    for run in ended["runs"]:
        assert max(seq for run_id, seq in seen if run_id == run["id"]) == run["event_seq"]
