"""A ladder: the probes, then the best of them changed; fewer where fewer succeeded."""

from __future__ import annotations

from typing import Any

from app.steps import step_outs
from store import runs, steps, studies
from store.database import Store
from store.rows import StudyRow
from tests.store.helpers import ready_dataset
from tests.store.step_studies import train
from trainer.sweeps.expand import expand
from trainer.sweeps.file import as_sweep

SWEEP: dict[str, Any] = {
    "base": {
        "dataset": {"name": "digits"},
        "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    },
    "space": {"optimizer.lr": [0.1, 0.2, 0.3, 0.4]},
    "kind": "ladder",
    "ladder": {
        "probe": {"training": {"epochs": 1}},
        "keep": 2,
        "promote": {"training": {"epochs": 5}},
    },
}


def launch(store: Store, **changes: Any) -> StudyRow:
    ready_dataset(store)
    expansion = expand(as_sweep({**SWEEP, **changes}))
    return studies.create_study(store, "s", "ann", steps=expansion.steps, sweep=expansion)


def climb(store: Store, study: StudyRow, *accuracies: float) -> StudyRow:
    """End the probes, with 0 for one that fails, and let the study go on."""
    for accuracy in accuracies:
        train(store, accuracy or None, "succeeded" if accuracy else "failed")
    steps.advance(store, study.id)
    return studies.get_study(store, study.id)


def promoted(store: Store, study: StudyRow) -> list[tuple[str, float, int, int]]:
    rows = runs.runs_by_ids(store, study.steps[1].run_ids)
    return [
        (
            row.name,
            row.spec["optimizer"]["lr"],
            row.spec["training"]["epochs"],
            row.spec["training"]["seed"],
        )
        for row in rows
    ]


def test_the_best_probes_are_promoted_in_the_order_of_their_results(store: Store) -> None:
    study = launch(store)
    probes = runs.runs_by_ids(store, study.run_ids)
    assert [row.spec["training"]["epochs"] for row in probes] == [1] * 4
    study = climb(store, study, 0.5, 0.7, 0.6, 0.9)
    assert [step.state for step in study.steps] == ["ended", "running"]
    assert promoted(store, study) == [
        ("lr 0.4, promoted", 0.4, 5, 0),
        ("lr 0.2, promoted", 0.2, 5, 0),
    ]
    told = step_outs(study)[1].runs
    assert [(run.rank, run.chosen) for run in told] == [
        (1, study.steps[0].run_ids[3]),
        (2, study.steps[0].run_ids[1]),
    ]


def test_fewer_are_promoted_where_fewer_succeeded(store: Store) -> None:
    study = climb(store, launch(store), 0, 0.7, 0, 0)
    assert promoted(store, study) == [("lr 0.2, promoted", 0.2, 5, 0)]
    told = step_outs(study)[1].runs
    assert [run.run for run in told] == [study.steps[1].run_ids[0], None]


def test_a_ladder_whose_probes_all_fail_promotes_none_and_says_why(store: Store) -> None:
    study = climb(store, launch(store), 0, 0, 0, 0)
    assert study.steps[1].state == "skipped"
    assert study.steps[1].reason == "None of the 4 runs of step probe succeeded."
    assert study.is_over


def test_each_promoted_run_gets_the_seeds_asked_for(store: Store) -> None:
    study = climb(store, launch(store, seeds=2), 0.5, 0.7, 0.6, 0.9)
    assert promoted(store, study) == [
        ("lr 0.4, promoted, seed 0", 0.4, 5, 0),
        ("lr 0.4, promoted, seed 1", 0.4, 5, 1),
        ("lr 0.2, promoted, seed 0", 0.2, 5, 0),
        ("lr 0.2, promoted, seed 1", 0.2, 5, 1),
    ]
