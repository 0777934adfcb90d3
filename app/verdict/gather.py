"""Reads what a verdict needs: the evaluations, the recorded predictions, the other seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.figures.style import distinct_labels
from app.predictions import PredictionsGone, predictions
from app.splits import SPLIT_NAMES, Split, by_split, common_split
from app.verdict.evidence import Candidate, Evidence, Seed
from store.database import Store
from store.evaluations import evaluations
from store.replicates import Family, families
from store.rows import EvaluationRow, RunRow
from store.runs import runs_by_ids
from store.settings import Settings
from trainer.errors import FieldError, InvalidInput, NotFound
from trainer.spec import flat_fields

ByRun = Mapping[int, EvaluationRow]


def chosen_runs(
    store: Store, run_ids: Sequence[int], baseline_id: int | None
) -> tuple[RunRow, list[RunRow]]:
    """Return the baseline, by default the first run, and the others in order.

    Raises:
        NotFound: If there is no such run.
        InvalidInput: If the baseline is not among the runs, or there is nothing to compare.
    """
    wanted = list(dict.fromkeys(run_ids))
    found = runs_by_ids(store, wanted)
    known = {row.id for row in found}
    for run_id in wanted:
        if run_id not in known:
            raise NotFound(f"There is no run {run_id}.", "The Runs page lists those there are.")
    if baseline_id is not None and baseline_id not in known:
        raise InvalidInput.of(
            FieldError("baseline", baseline_id, "one of the runs that are compared")
        )
    if len(found) < 2:
        raise InvalidInput.of(
            FieldError("run", wanted, "at least two runs", "Add a run to compare with.")
        )
    baseline = next(row for row in found if baseline_id in {None, row.id})
    return baseline, [row for row in found if row.id != baseline.id]


def gather(
    store: Store,
    settings: Settings,
    baseline: RunRow,
    others: Sequence[RunRow],
    split: Split | None = None,
) -> Evidence:
    """Return the evidence on those runs.

    Args:
        split: Where left out, the test split if every run was tested on the same images, else
            validation.
    """
    rows = [baseline, *others]
    known_families = families(store, rows)
    family_ids = {row.id for family in known_families.values() for row in family.runs}
    found = evaluations(store, sorted(family_ids))
    known = by_split(found)
    chosen, reason = (split, "") if split else common_split([row.id for row in rows], known)
    evaluated = known[chosen]
    labels = distinct_labels([(row.id, row.name) for row in rows])
    reference = evaluated.get(baseline.id)

    def candidate(row: RunRow) -> Candidate:
        return _candidate(
            settings, row, labels[row.id], known_families[row.id], evaluated, reference
        )

    return Evidence(
        split=chosen,
        samples=reference.samples if reference else 0,
        split_chose_epoch=chosen == "val",
        split_reason=reason,
        baseline=candidate(baseline),
        others=tuple(candidate(row) for row in others),
        refusals={
            row.id: why
            for row in others
            if (why := _refusal(baseline, row, labels, evaluated, SPLIT_NAMES[chosen]))
        },
    )


def _refusal(
    baseline: RunRow,
    other: RunRow,
    labels: Mapping[int, str],
    evaluated: ByRun,
    split_name: str,
) -> str:
    """Return why the two evaluations cannot be compared, or nothing if they can."""
    for row in (baseline, other):
        if row.id not in evaluated:
            ending = "" if row.is_terminal else "; it is compared once it has ended"
            return (
                f"“{labels[row.id]}” has no evaluation on {split_name} images: it is "
                f"{row.status}{ending}."
            )
    first, second = evaluated[baseline.id], evaluated[other.id]
    if first.samples_fingerprint != second.samples_fingerprint:
        return (
            f"The two runs were evaluated on different {split_name} images ({first.samples} and "
            f"{second.samples}){_data_differences(baseline, other)}. Which images one gets right "
            "and the other does not can only be asked of the same images; launch one of them "
            "again with the other's dataset section."
        )
    if _names(first) != _names(second):
        return "The two runs name their classes differently: what they predict is not the same."
    return ""


def _data_differences(first: RunRow, second: RunRow) -> str:
    fields = [flat_fields({"dataset": row.spec.get("dataset", {})}) for row in (first, second)]
    differing = [
        path for path in fields[0] | fields[1] if fields[0].get(path) != fields[1].get(path)
    ]
    if not differing:
        return ""
    told = ", ".join(
        f"{path}: {fields[0].get(path)} and {fields[1].get(path)}" for path in differing[:4]
    )
    return f"; their specs differ in {told}"


def _names(row: EvaluationRow) -> list[str]:
    return [one["name"] for one in row.classes]


def _candidate(
    settings: Settings,
    row: RunRow,
    label: str,
    family: Family,
    evaluated: ByRun,
    reference: EvaluationRow | None,
) -> Candidate:
    own = evaluated.get(row.id)
    right, missing = _right(settings, own)
    seeds: dict[int, Seed] = {}
    coming: dict[int, int] = {}
    for one in [row, *family.runs]:
        seed = one.spec["training"]["seed"]
        evaluation = evaluated.get(one.id)
        if seed in seeds:
            continue  # the same seed again is the same run again, not another replicate
        if not one.is_terminal:
            coming.setdefault(seed, one.id)
        elif (
            one.status == "succeeded"
            and evaluation is not None
            and reference is not None
            and evaluation.samples_fingerprint == reference.samples_fingerprint
        ):
            seeds[seed] = Seed(
                one.id,
                seed,
                sum(cells[index] for index, cells in enumerate(evaluation.confusion)),
                _right(settings, evaluation)[0],
            )
    return Candidate(
        run_id=row.id,
        label=label,
        family=family.number,
        right=right,
        missing=missing,
        seeds=tuple(seeds.values()),
        coming=tuple(one for seed, one in coming.items() if seed not in seeds),
        taken=frozenset(one.spec["training"]["seed"] for one in [row, *family.runs]),
        can_launch=not row.external,
    )


def _right(settings: Settings, row: EvaluationRow | None) -> tuple[bytes | None, str]:
    """Return which images were right, or why that is not known."""
    if row is None:
        return None, ""
    try:
        return predictions(settings, row).right, ""
    except PredictionsGone as error:
        return None, str(error)
