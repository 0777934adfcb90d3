"""A comparison's tables as CSV files in a zip: everything the page shows, and every point.

The tables are written one after the other into a file, so that memory does not grow with them.
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import IO, Any

from app.exports.report import Asked, checked_info, judged
from app.figures.compare import CompareInfo, ResultRow
from app.figures.results import accuracy_intervals
from app.pages.templating import timestamp
from app.predictions import PredictionsGone, opinions
from store.database import Store
from store.rows import EvaluationRow
from store.series import each_series
from store.settings import Settings
from trainer.cells import harmless
from trainer.spec import flat_fields

READ_IMAGES = 512
Rows = Iterable[Sequence[Any]]
README = """Tables of a comparison made by Tuneboard.

results.csv      a line a run: the figures of the results table, with 95 % intervals
runs.csv         names, notes, owners and times of the runs
verdict.csv      every run against the baseline
specs.csv        every field of the specs, a column a run
curves.csv       every recorded point, nothing left out
confusion.csv    a line a cell: images by true and predicted class
classes.csv      precision, recall and F1 by class
seconds.csv      training seconds by phase
predictions.csv  a line an image and run: true and predicted class

The files are UTF-8. Accuracies are fractions of one; times are seconds, dates ISO 8601 in UTC.
Text that a spreadsheet would take for a formula begins with an apostrophe.
"""


def export_tables(store: Store, settings: Settings, asked: Asked, out: IO[bytes]) -> None:
    """Write the zip into a file.

    Raises:
        InvalidInput: If no run is named, or the baseline is none of them.
        NotFound: If one of the runs does not exist.
    """
    info = checked_info(store, asked)
    verdict = judged(store, settings, [run.id for run in info.runs], asked.baseline)
    tables: dict[str, Rows] = {
        "results": _results(info),
        "runs": _runs(info),
        "verdict": _verdict(verdict),
        "specs": _specs(info),
        "curves": _curves(store, info),
        "confusion": _confusion(info),
        "classes": _classes(info),
        "seconds": _seconds(info),
        "predictions": _predictions(settings, info),
    }
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.writestr("README.txt", README)
        for name, rows in tables.items():
            with packed.open(f"{name}.csv", "w", force_zip64=True) as raw:
                write_table(raw, rows)


def write_table(out: IO[bytes], rows: Rows) -> None:
    """Write rows as CSV; None and what is no number become empty cells."""
    with io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False) as text:
        table = csv.writer(text, lineterminator="\n")
        for row in rows:
            table.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else ""
    return "" if value is None else harmless(value)


def _results(info: CompareInfo) -> Iterator[Sequence[Any]]:
    columns = [one.name for one in fields(ResultRow) if one.name not in {"colour", "reported"}]
    known = accuracy_intervals(info.table, info.evaluations)
    ends = ("val_accuracy_low", "val_accuracy_high", "test_accuracy_low", "test_accuracy_high")
    yield [*columns, *ends]
    for row in info.table:
        values = [getattr(row, name) for name in columns]
        yield [
            *("; ".join(map(str, one)) if isinstance(one, tuple) else one for one in values),
            *known.get((row.run_id, "val"), (None, None)),
            *known.get((row.run_id, "test"), (None, None)),
        ]


def _runs(info: CompareInfo) -> Iterator[Sequence[Any]]:
    yield ["run_id", "name", "note", "owner", "status", "study_id", "dataset", "created_at",
           "started_at", "finished_at"]  # fmt: skip
    for run in info.runs:
        times = (run.created_at, run.started_at, run.finished_at)
        yield [run.id, run.name, run.note, run.owner, run.status, run.study_id, run.dataset,
               *map(timestamp, times)]  # fmt: skip


def _verdict(verdict: Any) -> Iterator[Sequence[Any]]:
    yield ["run_id", "baseline_id", "split", "about", "finding", "both_right", "only_run",
           "only_baseline", "both_wrong", "difference", "difference_low", "difference_high",
           "p_value", "p_adjusted", "sentence"]  # fmt: skip
    for line in verdict.lines if verdict else ():
        found = line.found
        counts = found.counts
        yield [
            found.run_id,
            found.baseline_id,
            verdict.evidence.split,
            found.about,
            found.finding,
            *((counts.both_right, counts.fixed, counts.broken, counts.both_wrong)
              if counts else (None,) * 4),
            found.difference,
            *(found.interval or (None, None)),
            found.p_value,
            found.p_adjusted,
            line.sentence,
        ]  # fmt: skip


def _specs(info: CompareInfo) -> Iterator[Sequence[Any]]:
    flats = [flat_fields(run.spec) for run in info.runs]
    yield ["field", "differs", *(f"#{run.id} {run.name}" for run in info.runs)]
    for path in dict.fromkeys(path for flat in flats for path in flat):
        values = [flat.get(path) for flat in flats]
        shown = [str(one) if isinstance(one, list | dict) else one for one in values]
        yield [path, "yes" if any(one != values[0] for one in values) else "no", *shown]


def _curves(store: Store, info: CompareInfo) -> Iterator[Sequence[Any]]:
    yield ["run_id", "run", "metric", "step", "epoch", "elapsed_s", "value"]
    for run_id, name, columns in each_series(store, [run.id for run in info.runs]):
        label = info.labels[run_id]
        for step, epoch, elapsed_s, value in zip(*columns, strict=True):
            yield [run_id, label, name, step, round(epoch, 4), round(elapsed_s, 3), value]


def _confusion(info: CompareInfo) -> Iterator[Sequence[Any]]:
    yield ["run_id", "run", "split", "true", "predicted", "images"]
    for row in info.evaluations:
        names = [one["name"] for one in row.classes]
        for true, cells in zip(names, row.confusion, strict=True):
            for predicted, images in zip(names, cells, strict=True):
                yield [row.run_id, info.labels[row.run_id], row.split, true, predicted, images]


def _classes(info: CompareInfo) -> Iterator[Sequence[Any]]:
    yield ["run_id", "run", "split", "class", "precision", "recall", "f1", "images"]
    for row in info.evaluations:
        for one in row.classes:
            yield [row.run_id, info.labels[row.run_id], row.split, one["name"],
                   one["precision"], one["recall"], one["f1"], one["support"]]  # fmt: skip


def _seconds(info: CompareInfo) -> Iterator[Sequence[Any]]:
    phases = list(dict.fromkeys(name for seconds in info.phases.values() for name in seconds))
    yield ["run_id", "run", "trained_s", "standalone_s", *(f"{phase}_s" for phase in phases)]
    for row in info.table:
        seconds: Mapping[str, float] = info.phases[row.run_id]
        yield [row.run_id, row.label, row.training_s, row.standalone_s,
               *(seconds.get(phase) for phase in phases)]  # fmt: skip


def _predictions(settings: Settings, info: CompareInfo) -> Iterator[Sequence[Any]]:
    yield ["run_id", "run", "split", "image", "true", "predicted", "probability", "right"]
    for row in info.evaluations:
        try:
            yield from _images(settings, info, row)
        except PredictionsGone:
            continue  # results.csv has the run's figures; its images are gone


def _images(settings: Settings, info: CompareInfo, row: EvaluationRow) -> Iterator[Sequence[Any]]:
    names = [one["name"] for one in row.classes]
    label = info.labels[row.run_id]
    for start in range(0, row.samples, READ_IMAGES):
        places = range(start, min(start + READ_IMAGES, row.samples))
        for one in opinions(settings, row, places):
            found = one.predicted
            yield [row.run_id, label, row.split, one.id, names[one.label], names[found],
                   round(one.probabilities[found], 6), int(found == one.label)]  # fmt: skip
