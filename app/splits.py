"""Which split runs are compared on: test where all were tested alike, else validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from store.database import Store
from store.evaluations import evaluation, evaluations
from store.rows import EvaluationRow
from store.runs import get_run
from trainer.errors import FieldError, InvalidInput

Split = Literal["val", "test"]
SPLITS: tuple[Split, ...] = ("test", "val")  # the one preferred first
SPLIT_NAMES: Mapping[str, str] = {"val": "validation", "test": "test"}
BySplit = Mapping[Split, Mapping[int, EvaluationRow]]


def by_split(rows: Sequence[EvaluationRow]) -> BySplit:
    """Return the evaluations by split and run."""
    return {one: {row.run_id: row for row in rows if row.split == one} for one in SPLITS}


def common_split(run_ids: Sequence[int], evaluated: BySplit) -> tuple[Split, str]:
    """Return the split to compare those runs on, and why it is not the test split, if asked."""
    for split in SPLITS:
        found = [evaluated[split].get(run_id) for run_id in run_ids]
        if all(found) and len({one.samples_fingerprint for one in found if one}) == 1:
            break
    else:
        return "val", ""
    if split == "val" and any(run_id in evaluated["test"] for run_id in run_ids):
        return split, (
            "Compared on validation images, because not every run was tested, or not on the same "
            "test images."
        )
    return split, ""


def pair_of_evaluations(
    store: Store, baseline_id: int, other_id: int, split: Split | None
) -> tuple[EvaluationRow, EvaluationRow]:
    """Return two runs' evaluations on one split.

    Raises:
        NotFound: If there is no such run, or one has no such evaluation.
        InvalidInput: If the two runs are the same.
    """
    if baseline_id == other_id:
        raise InvalidInput.of(FieldError("run", [baseline_id, other_id], "two different runs"))
    pair = [get_run(store, run_id).id for run_id in (baseline_id, other_id)]
    chosen = split or common_split(pair, by_split(evaluations(store, pair)))[0]
    return evaluation(store, baseline_id, chosen), evaluation(store, other_id, chosen)
