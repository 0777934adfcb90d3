"""Sweeps as data: what they make, what it is called, and how what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.errors import InvalidInput
from trainer.steps import BestOf, parse_best_of
from trainer.sweeps.expand import expand
from trainer.sweeps.file import as_sweep

BASE: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
}
RATES = {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}}


def names(**sweep: Any) -> list[str]:
    return expand(as_sweep({"base": BASE, **sweep})).names


def wrong(**sweep: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        expand(as_sweep({"base": BASE, **sweep}))
    return {error.field: f"{error.expected} {error.remedy}" for error in refused.value.errors}


def test_runs_are_named_by_what_differs() -> None:
    assert names(space={"optimizer.lr": ["1e-1", 0.01]}) == ["lr 0.1", "lr 0.01"]
    assert names(space={"model.architecture": ["tuneboard/small_cnn", "resnet18"]}) == [
        "tuneboard/small_cnn",
        "resnet18",
    ]
    space = {"optimizer.name": ["sgd"], "scheduler.name": ["none", "cosine"]}
    assert names(space=space) == [
        "optimizer.name sgd, scheduler.name none",
        "optimizer.name sgd, scheduler.name cosine",
    ]
    assert names(base={**BASE, "name": "mine"}, space={"training.seed": [3]}) == ["mine: seed 3"]
    assert names(seeds=2) == ["small_cnn from scratch, seed 0", "small_cnn from scratch, seed 1"]


def test_a_section_is_swept_whole_where_values_belong_together() -> None:
    space = {"optimizer": [{"name": "sgd", "lr": 0.1}, {"name": "adam", "lr": 0.001}]}
    runs = expand(as_sweep({"base": BASE, "space": space})).runs
    assert [(run.spec.optimizer.name, run.spec.optimizer.lr) for run in runs] == [
        ("sgd", 0.1),
        ("adam", 0.001),
    ]


def test_ranges_have_counts_or_steps_in_a_grid() -> None:
    space = {"optimizer.lr": {**RATES["optimizer.lr"], "count": 4}}
    assert names(space=space) == ["lr 0.0001", "lr 0.001", "lr 0.01", "lr 0.1"]
    assert names(space={"training.batch_size": {"low": 8, "high": 24, "step": 8}}) == [
        "batch size 8",
        "batch size 16",
        "batch size 24",
    ]
    assert "`count` or `step`" in wrong(space=RATES)["sweep.space.optimizer.lr"]


def test_a_draw_is_of_different_combinations_and_the_same_again() -> None:
    space = {**RATES, "training.batch_size": {"low": 8, "high": 64}}
    drawn = names(space=space, kind="random", runs=20)
    assert len(set(drawn)) == 20
    assert drawn == names(space=space, kind="random", runs=20)
    assert drawn != names(space=space, kind="random", runs=20, seed=1)
    finite = {"optimizer.lr": [0.1, 0.2, 0.3], "training.batch_size": [8, 16]}
    assert len(set(names(space=finite, kind="random", runs=5))) == 5
    assert "at most 6" in wrong(space=finite, kind="random", runs=7)["sweep.runs"]


def test_what_is_wrong_is_placed_in_the_sweep() -> None:
    assert list(wrong(space={"optimizer.lr": [0.1, 30]})) == ["sweep.space.optimizer.lr.1"]
    assert list(wrong(space={"optimizer.lr": [0.1, 0.1]})) == ["sweep.space.optimizer.lr.1"]
    assert list(wrong(space={"model.weights": {"low": 1, "high": 2}})) == [
        "sweep.space.model.weights"
    ]
    assert list(wrong(space={"training.batch_size": {"low": 1.5, "high": 4}})) == [
        "sweep.space.training.batch_size"
    ]
    cycle = {**BASE, "scheduler": {"name": "one_cycle", "max_lr": 0.05}}
    said = wrong(base=cycle, space={"optimizer.lr": [0.01, 0.1]})
    assert list(said) == ["sweep.base.scheduler.max_lr"]
    assert "That is with lr 0.1." in said["sweep.base.scheduler.max_lr"]
    both = {"optimizer": [{"lr": 1}], "optimizer.lr": [0.1]}
    assert list(wrong(space=both)) == ["sweep.space.optimizer"]


@pytest.mark.parametrize(
    ("field", "sweep"),
    [
        ("sweep.space", {}),
        ("sweep.runs", {"space": RATES, "kind": "random"}),
        ("sweep.runs", {"space": RATES, "kind": "grid", "runs": 2}),
        ("sweep.search", {"space": RATES, "search": {}}),
        ("sweep.search.metric", {"space": RATES, "kind": "search", "search": {"metric": "x"}}),
        ("sweep.seeds", {"space": {"training.seed": [1]}, "seeds": 2}),
        ("sweep.ladder.keep", {"space": {"optimizer.lr": [1]}, "kind": "ladder", "ladder": {
            "probe": {}, "promote": {}, "keep": 2}}),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused(field: str, sweep: dict[str, Any]) -> None:
    assert list(wrong(**sweep)) == [field]


def test_no_sweep_chooses_by_test_images() -> None:
    said = wrong(space=RATES, kind="search", search={"metric": "test_accuracy"})
    assert "not tested on them" in said["sweep.search.metric"]


def test_best_of_may_name_a_rank() -> None:
    assert parse_best_of("best_of(a, b, best_val_loss, 2)") == BestOf("a, b", "best_val_loss", 2)
    assert parse_best_of("best_of(a, best_val_loss)") == BestOf("a", "best_val_loss")
    with pytest.raises(InvalidInput):
        parse_best_of("best_of(a, best_val_loss, 0)")
