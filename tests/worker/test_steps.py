"""Later steps begin when a run ends, or at the next tick, and somebody is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store import jobs, lifecycle, steps, studies
from store.database import Unavailable
from store.rows import StudyRow
from tests.worker.house import House, fake_launch, wait_until
from tests.worker.test_reconcile import Hand
from trainer.planning import plan
from trainer.recipes import as_recipe
from worker import steps as steps_module
from worker.bell import Bell
from worker.celery import WAKE_TASK
from worker.interactive import Interactive
from worker.reconcile import Reconciler
from worker.runner import Runner

COMMON: dict[str, Any] = {
    "dataset": {"name": "shapes", "input_size_px": 16},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 1, "batch_size": 4, "device": "cpu"},
}
SWEEP = {"name": "sweep", "runs": [{"optimizer": {"lr": lr}} for lr in (0.1, 0.2)]}
LONGER = {
    "name": "longer",
    "runs": [{"from": "best_of(sweep, best_val_loss)", "training": {"epochs": 2}}],
}


class Rings:
    def __init__(self) -> None:
        self.rings: list[str] = []

    def ring_train(self) -> None:
        self.rings.append("train")

    def ring_interactive(self) -> None:
        self.rings.append("interactive")


@pytest.fixture
def bell(house: House) -> Iterator[Bell]:
    house.start_broker()
    rung = Bell(house.settings)
    yield rung
    rung.close()


def launch(house: House, *given: dict[str, Any]) -> StudyRow:
    recipe = as_recipe({"common": COMMON, "steps": list(given)})
    return studies.create_study(house.store, "s", "tester", steps=plan(recipe))


def states(house: House, study: StudyRow) -> list[str]:
    return [step.state for step in studies.get_study(house.store, study.id).steps]


def test_one_wake_trains_a_study_to_its_last_step(house: House, bell: Bell) -> None:
    study = launch(house, SWEEP, LONGER)
    runner = Runner(
        house.store,
        house.settings,
        bell,
        fake_launch("train", 0),
        worker_id="w",
        device="cpu",
        slots=1,
    )
    runner.wake()
    ended = studies.get_study(house.store, study.id)
    assert [step.state for step in ended.steps] == ["ended", "ended"]
    assert ended.counts == {"succeeded": 3}
    assert house.run(ended.run_ids[2]).epochs == 2
    assert ended.is_over


def test_the_tick_begins_what_was_missed_and_rings(house: House, bell: Bell) -> None:
    study = launch(house, {"name": "one", "runs": [{}]}, {"name": "two", "runs": [{}]})
    rings = Rings()
    lifecycle.request_cancel(house.store, study.run_ids[0])
    assert states(house, study) == ["running", "waiting"]
    bell.ring_train = rings.ring_train  # type: ignore[method-assign]
    Reconciler(house.store, house.settings, bell, WAKE_TASK, Hand()).tick()
    assert states(house, study) == ["ended", "running"]
    assert rings.rings == ["train"]


def test_trouble_with_steps_is_left_to_the_next_tick(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = launch(house, {"name": "one", "runs": [{}]}, {"name": "two", "runs": [{}]})
    lifecycle.request_cancel(house.store, study.run_ids[0])
    problems: list[Exception] = [Unavailable("away"), RuntimeError("a bug of ours")]
    real = steps_module.advance

    def advance(*given: Any) -> steps.Begun:
        if problems:
            raise problems.pop()
        return real(*given)

    monkeypatch.setattr(steps_module, "advance", advance)
    rings = Rings()
    for _ in range(3):
        steps_module.go_on(house.store, rings)  # type: ignore[arg-type]
    assert states(house, study) == ["ended", "running"]
    assert rings.rings == ["train"]


def test_the_end_of_a_vote_begins_the_step_after_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    vote = {"name": "vote", "vote": {"of": ["sweep"]}}
    study = launch(house, SWEEP, vote, {"name": "last", "runs": [{}]})
    rings = Rings()
    monkeypatch.setattr(
        steps,
        "cast_votes",
        lambda *_: (
            {"runs": [], "file": "votes.csv"},
            {"voters": [], "left_out": [], "preferred": 0, "published": None},
        ),
    )
    for _ in range(2):
        claim = house.claim()
        lifecycle.finish(house.store, claim.run.id, claim.attempt, "succeeded")
    steps_module.go_on(house.store, rings)  # type: ignore[arg-type]
    assert rings.rings == ["interactive"]

    def nothing_to_do(*_: Any) -> list[str]:
        return ["python3", "-c", 'print(\'{"ready": {"accuracy": 1.0}}\')']

    interactive = Interactive(house.store, house.settings, rings, nothing_to_do)  # type: ignore[arg-type]
    interactive.wake()
    wait_until(lambda: states(house, study) == ["ended", "ended", "running"])
    assert not jobs.jobs_wait(house.store)
    interactive.drain()
    assert interactive.wait_until_idle(30)
    assert rings.rings == ["interactive", "train"]
