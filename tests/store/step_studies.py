"""Studies in steps, and what their tests do and ask again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store import lifecycle, studies
from store.database import Store
from store.rows import RunRow, StepRow, StudyRow
from tests.store.helpers import claimed, epoch, evaluated
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
VOTE = {"name": "vote", "vote": {"of": ["sweep"], "preferred": "lr 2"}}


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


def evaluate(store: Store, fingerprint: str = "a" * 64, outcome: Any = "succeeded") -> RunRow:
    claim = claimed(store)
    told = [evaluated(samples_fingerprint=fingerprint)]
    lifecycle.record(store, claim.run.id, claim.attempt, lease_s=60, events=told)
    return lifecycle.finish(store, claim.run.id, claim.attempt, outcome)
