"""What a comparison of runs shows: figures, the table, what differs, and what to beware of.

`compare_info` reads the store once for all runs; everything else is pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.answers import RunOut
from app.figures.bars import wall_clock_figure, wall_clock_info
from app.figures.confusion import Cells, confusion_figure, confusion_infos
from app.figures.style import Figure, distinct_labels, finite, run_style
from app.outputs import run_outs
from store.database import Store
from store.datasets import list_datasets
from store.evaluations import evaluations
from store.rows import EvaluationRow, RunRow
from store.runs import runs_by_ids
from trainer.published import Reported
from trainer.spec import flat_fields

RUNS_LIMIT = 500


@dataclass(frozen=True)
class ResultRow:
    """One run's line in the results table; None where there is nothing to say."""

    run_id: int
    label: str
    status: str
    colour: str
    best_val_accuracy: float | None
    best_epoch: int | None
    final_val_accuracy: float | None
    test_accuracy: float | None
    macro_f1: float | None
    """On the validation images, with the weights of the best epoch; so the calibration error."""
    calibration_error: float | None
    best_val_loss: float | None
    epochs: int
    training_s: float | None
    seconds_per_epoch: float | None
    standalone_s: float | None
    parameters_total: int | None
    parameters_trained: int | None
    device: str | None
    dataset: str
    reported: tuple[Reported, ...]
    """What a recipe's authors reported; empty where that is not comparable."""
    reported_words: tuple[str, ...]
    """What to show of it: a line a number, or why none is comparable."""
    substitute: bool


@dataclass(frozen=True)
class SpecDifference:
    """A field of the spec that is not the same in all runs."""

    path: str
    values: tuple[str, ...]
    """One a run, in the runs' order; empty where a run leaves it unset."""


@dataclass(frozen=True)
class CompareInfo:
    """Everything about the chosen runs that the page and the API show."""

    runs: tuple[RunOut, ...]
    labels: Mapping[int, str]
    evaluations: tuple[EvaluationRow, ...]
    table: tuple[ResultRow, ...]
    differences: tuple[SpecDifference, ...]
    warnings: tuple[str, ...]
    phases: Mapping[int, Mapping[str, float]]
    missing: tuple[int, ...]
    """Asked for, but not there."""


def compare_payload(
    store: Store,
    run_ids: Sequence[int],
    now: float,
    cells: Cells = "counts",
) -> dict[str, Any]:
    """Return the comparison as `GET /api/v1/compare` answers it.

    Args:
        now: Unix seconds; said in the answer, so that a reader knows how fresh it is.
    """
    info = compare_info(store, run_ids)
    return {
        "generated_at": now,
        "runs": [run.model_dump(mode="json") for run in info.runs],
        "missing": list(info.missing),
        "figures": compare_figures(info, cells),
        "table": [
            {**asdict(row), "reported": [one.model_dump() for one in row.reported]}
            for row in info.table
        ],
        "spec_differences": [
            {"path": found.path, "values": list(found.values)} for found in info.differences
        ],
        "warnings": list(info.warnings),
    }


def compare_info(store: Store, run_ids: Sequence[int]) -> CompareInfo:
    """Gather the chosen runs, in the order asked for, each once."""
    rows = runs_by_ids(store, list(dict.fromkeys(run_ids))[:RUNS_LIMIT])
    ids = [row.id for row in rows]
    outs = run_outs(store, rows)
    evaluated = evaluations(store, ids) if ids else []
    labels = distinct_labels([(row.id, row.name) for row in rows])
    fingerprints = {row.name: row.fingerprint for row in list_datasets(store)}
    return CompareInfo(
        runs=tuple(outs),
        labels=labels,
        evaluations=tuple(evaluated),
        table=tuple(
            result_row(row, out, labels[row.id], evaluated)
            for row, out in zip(rows, outs, strict=True)
        ),
        differences=spec_differences([row.spec for row in rows]),
        warnings=compare_warnings(rows, evaluated, fingerprints),
        phases={row.id: row.finished.get("seconds", {}) for row in rows},
        missing=tuple(one for one in dict.fromkeys(run_ids) if one not in set(ids)),
    )


def compare_figures(info: CompareInfo, cells: Cells = "counts") -> dict[str, Figure]:
    """Return the figures by name; an evaluated run's matrix is `confusion_` and its number."""
    runs = [(run.id, info.labels[run.id]) for run in info.runs]
    by_run = {row.run_id: row for row in info.evaluations if row.split == "val"}
    validated = [run_id for run_id, _ in runs if run_id in by_run]
    matrices = confusion_infos(
        [
            (
                info.labels[run_id],
                [one["name"] for one in by_run[run_id].classes],
                by_run[run_id].confusion,
            )
            for run_id in validated
        ],
        cells,
    )
    return {
        "wall_clock": clock_figure(info),
        **{
            f"confusion_{run_id}": confusion_figure(matrix)
            for run_id, matrix in zip(validated, matrices, strict=True)
        },
    }


def clock_figure(info: CompareInfo) -> Figure:
    """Return the seconds of the runs by phase."""
    return wall_clock_figure(
        wall_clock_info(
            [(info.labels[run.id], info.phases[run.id], run.elapsed_s) for run in info.runs]
        )
    )


def result_row(
    row: RunRow, out: RunOut, label: str, evaluated: Sequence[EvaluationRow]
) -> ResultRow:
    """Return a run's line: its best epoch's figures, not its last one's, unless said so."""
    accuracy = out.metrics.get("val_accuracy")
    loss = out.metrics.get("val_loss")
    own = {one.split: one for one in evaluated if one.run_id == row.id}
    val, test = own.get("val"), own.get("test")
    elapsed_s = out.elapsed_s
    published = out.published
    return ResultRow(
        run_id=row.id,
        label=label,
        status=row.status,
        colour=run_style(row.id).colour,
        best_val_accuracy=accuracy.best if accuracy else None,
        best_epoch=accuracy.best_epoch if accuracy else None,
        final_val_accuracy=accuracy.last if accuracy else None,
        test_accuracy=finite(test.accuracy) if test else None,
        macro_f1=finite(val.macro_f1) if val else None,
        calibration_error=finite(val.calibration_error) if val else None,
        best_val_loss=loss.best if loss else None,
        epochs=row.epoch,
        training_s=finite(elapsed_s),
        seconds_per_epoch=finite(elapsed_s / row.epoch) if elapsed_s and row.epoch else None,
        standalone_s=finite(row.finished.get("standalone_s")),
        parameters_total=out.parameters_total,
        parameters_trained=out.parameters_trained,
        device=out.device,
        dataset=row.dataset_name,
        reported=published.reported if published and published.comparable else (),
        reported_words=published.lines() if published else (),
        substitute=bool(published and published.substitute),
    )


def spec_differences(specs: Sequence[Mapping[str, Any]]) -> tuple[SpecDifference, ...]:
    """Return the fields whose values are not the same in all specs; the name is no difference."""
    flats = [flat_fields(spec) for spec in specs]
    paths = list(dict.fromkeys(path for flat in flats for path in flat))
    found = []
    for path in paths:
        values = tuple(_shown(flat.get(path)) for flat in flats)
        if path != "name" and len(set(values)) > 1:
            found.append(SpecDifference(path, values))
    return tuple(found)


def compare_warnings(
    rows: Sequence[RunRow], evaluated: Sequence[EvaluationRow], fingerprints: Mapping[str, str]
) -> tuple[str, ...]:
    """Return sentences about what makes the runs' figures not comparable.

    Args:
        fingerprints: Of the datasets by name; one absent is unknown.
    """
    warnings = []
    datasets = {fingerprints.get(row.dataset_name) or row.dataset_name for row in rows}
    if len(datasets) > 1:
        names = ", ".join(dict.fromkeys(row.dataset_name for row in rows))
        warnings.append(
            f"These runs used different datasets ({names}): their accuracies measure different "
            "things."
        )
    samples = {row.samples_fingerprint for row in evaluated if row.split == "val"}
    if len(samples) > 1 and len(datasets) == 1:
        warnings.append(
            "These runs were validated on different images: their shares or split seeds differ. "
            "Small differences in accuracy may come from that alone."
        )
    ways = {row.spec.get("augmentation", {}).get("validation", "plain") for row in rows}
    if len(ways) > 1:
        warnings.append(
            "Some of these runs sent their validation images through the training transforms "
            "(augmentation.validation), which lowers accuracy: on validation images they cannot "
            "be compared with the others."
        )
    devices = dict.fromkeys(row.started["device"] for row in rows if row.started.get("device"))
    if len(devices) > 1:
        warnings.append(
            f"These runs were trained on different devices ({', '.join(devices)}): their seconds "
            "cannot be compared."
        )
    unfinished = [row for row in rows if not row.is_terminal]
    if unfinished and len(rows) > 1:
        warnings.append(
            "One of these runs has not ended yet: its figures will change."
            if len(unfinished) == 1
            else f"{len(unfinished)} of these runs have not ended yet: their figures will change."
        )
    return tuple(warnings)


def _shown(value: Any) -> str:
    if value is None or value == [] or value == "":
        return ""
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
