"""Searches carried on by the interactive worker: asked, trained, pruned, restarted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from store import runs, searches, studies
from store.rows import StudyRow, SweepRow
from tests.worker.house import House, fake_launch, wait_until
from trainer.small_cnn import SmallCNN
from trainer.sweeps.expand import expand
from trainer.sweeps.file import as_sweep
from worker.forks import WarmLauncher
from worker.processes import Launch
from worker.runner import Runner
from worker.searches import SUGGEST, TRIES, Searcher

BASE: dict[str, Any] = {
    "dataset": {"name": "shapes", "input_size_px": 16},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "training": {"epochs": 2, "batch_size": 4, "device": "cpu"},
}
SPACE = {"optimizer.lr": {"low": 1e-5, "high": 0.5, "log": True}}


class Rings:
    """A bell that sets a training worker to work, as the broker would."""

    def __init__(self) -> None:
        self.rung = threading.Event()

    def ring_train(self) -> None:
        self.rung.set()

    def ring_interactive(self) -> None: ...


class Working:
    """A training worker and a search's hand, in threads of this process."""

    def __init__(self, house: House, launch: Launch, command: Sequence[str] = SUGGEST) -> None:
        self.house = house
        self.bell = Rings()
        bell: Any = self.bell
        self.ending = threading.Event()
        self.searcher = Searcher(house.store, bell, self.ending, threading.Event(), command)
        self.runner = Runner(
            house.store, house.settings, bell, launch, worker_id="w", device="cpu", slots=1
        )
        self.threads = [
            threading.Thread(target=self.searcher.work),
            threading.Thread(target=self._train),
        ]
        for thread in self.threads:
            thread.start()

    def _train(self) -> None:
        while not self.ending.is_set():
            if self.bell.rung.wait(0.1):
                self.bell.rung.clear()
                self.runner.wake()

    def end(self) -> None:
        self.ending.set()
        self.runner.drain()
        for thread in self.threads:
            thread.join(60)


@pytest.fixture
def warm() -> Iterator[WarmLauncher]:
    launcher = WarmLauncher()
    yield launcher
    launcher.close()


def launch(house: House, base: dict[str, Any] = BASE, **search: Any) -> StudyRow:
    sweep = as_sweep({"base": base, "space": SPACE, "kind": "search", "search": search})
    return studies.create_study(house.store, "s", "tester", sweep=expand(sweep))


def sweep_of(house: House, study: StudyRow) -> SweepRow:
    found = studies.get_study(house.store, study.id).sweep
    assert found is not None
    return found


def wait_for_end(house: House, study: StudyRow, patience_s: float = 240.0) -> SweepRow:
    wait_until(
        lambda: studies.get_study(house.store, study.id).is_over,
        lambda: sweep_of(house, study),
        patience_s,
    )
    return sweep_of(house, study)


def frozen_base(house: House, folder: Path) -> dict[str, Any]:
    """Return the base of a frozen head over a backbone that comes from a file."""
    save_file(SmallCNN(2).state_dict(), folder / "backbone.safetensors")
    return {
        **BASE,
        "model": {**BASE["model"], "weights": str(folder / "backbone.safetensors")},
        "freeze": {"layers": "backbone"},
        "training": {**BASE["training"], "epochs": 1},
    }


def test_a_search_of_20_trials_of_a_frozen_head_ends_and_its_best_beats_its_first(
    house: House, warm: WarmLauncher, tmp_path: Path
) -> None:
    base = frozen_base(house, tmp_path)
    study = launch(house, base, trials=20, metric="best_val_loss")
    working = Working(house, warm)
    try:
        ended = wait_for_end(house, study)
    finally:
        working.end()
    assert [trial.state for trial in ended.trials] == ["complete"] * 20
    assert ended.reason == ""
    best = searches.best_trial(ended)
    first = ended.trials[0].value
    assert best is not None
    assert best.value is not None
    assert first is not None
    assert best.value < first
    assert len({trial.drawn[0] for trial in ended.trials}) > 15
    last = runs.get_run(house.store, ended.trials[-1].run_id or 0)
    assert last.name.startswith("trial 20: lr ")
    assert last.started["parameters_trained"] < last.started["parameters_total"]


def test_a_worker_that_starts_again_goes_on_where_the_search_was(house: House) -> None:
    study = launch(house, trials=6)
    working = Working(house, fake_launch(pace_s=0.0))
    wait_until(lambda: len(sweep_of(house, study).trials) >= 2, patience_s=120)
    working.searcher.kill()  # whoever knows Optuna dies
    wait_until(lambda: len(sweep_of(house, study).trials) >= 3, patience_s=120)
    working.end()
    begun = len(sweep_of(house, study).trials)
    assert begun <= 6
    working = Working(house, fake_launch(pace_s=0.0))
    working.bell.ring_train()
    try:
        ended = wait_for_end(house, study)
    finally:
        working.end()
    assert [trial.number for trial in ended.trials] == [1, 2, 3, 4, 5, 6]
    assert [trial.state for trial in ended.trials] == ["complete"] * 6
    assert len(studies.get_study(house.store, study.id).run_ids) == 6


PRUNES = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    drawn = [[0.01 * (len(asked["trials"]) + 1)]] * asked["wanted"]
    print(json.dumps({"drawn": drawn, "pruned": asked["judge"]}), flush=True)
"""


def test_a_pruned_trial_is_stopped_by_its_supervisor_and_the_next_begins(house: House) -> None:
    base = {**BASE, "training": {**BASE["training"], "epochs": 500}}
    study = launch(house, base, trials=2, pruner="median")
    working = Working(house, fake_launch(pace_s=0.3), (sys.executable, "-c", PRUNES))
    try:
        ended = wait_for_end(house, study)
    finally:
        working.end()
    assert [trial.state for trial in ended.trials] == ["pruned", "pruned"]
    for trial in ended.trials:
        run = runs.get_run(house.store, trial.run_id or 0)
        assert run.status == "cancelled"
        assert run.error is not None
        assert run.error["detail"] == trial.reason
        assert trial.reason.startswith("Pruned after epoch ")
        assert run.epoch < 500


def test_a_search_that_gets_no_answers_ends_and_says_so(house: House) -> None:
    study = launch(house, trials=6)
    working = Working(house, fake_launch(), (sys.executable, "-c", "print('no')"))
    try:
        ended = wait_for_end(house, study)
    finally:
        working.end()
    assert ended.state == "ended"
    assert ended.reason.startswith("Optuna gave no answer")
    assert ended.trials == ()
    assert TRIES > 1
