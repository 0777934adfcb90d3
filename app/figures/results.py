"""The results table: which columns there are, their cells, the order of rows, what is best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.figures.compare import ResultRow
from store.rows import EvaluationRow, SeriesPoints

Kind = Literal["text", "share", "number", "seconds", "whole", "large"]
Interval = tuple[float, float]
Value = float | str | None


@dataclass(frozen=True)
class Column:
    """A column of the results table."""

    key: str
    title: str
    kind: Kind
    help: str = ""
    better: Literal["max", "min"] | None = None
    """Which of its values is best; None where none is."""
    split: str = ""
    """The split whose accuracy it is; its cells have an interval."""
    is_default: bool = False


COLUMNS: tuple[Column, ...] = (
    Column("status", "Status", "text", is_default=True),
    Column(
        "best_val_accuracy",
        "Best val. accuracy",
        "share",
        "Of the best epoch; beneath, Wilson's 95 % interval",
        "max",
        "val",
        is_default=True,
    ),
    Column("best_epoch", "Best epoch", "whole", is_default=True),
    Column(
        "final_val_accuracy",
        "Final val. accuracy",
        "share",
        "Of the last epoch",
        "max",
        is_default=True,
    ),
    Column(
        "test_accuracy",
        "Test accuracy",
        "share",
        "With the weights of the best epoch; beneath, Wilson's 95 % interval",
        "max",
        "test",
        is_default=True,
    ),
    Column("macro_f1", "Macro F1", "share", "Mean over the classes, validation images", "max"),
    Column(
        "calibration_error",
        "Calibration error",
        "share",
        "Expected, over 15 bins, validation images",
        "min",
    ),
    Column("best_val_loss", "Lowest val. loss", "number", "", "min"),
    Column("epochs", "Epochs", "whole", "Epochs done"),
    Column("training_s", "Trained for", "seconds", "Without queueing", "min", is_default=True),
    Column("seconds_per_epoch", "Per epoch", "seconds", "", "min", is_default=True),
    Column(
        "standalone_s",
        "Standalone",
        "seconds",
        "With the cost of every cache that was found ready added back",
        "min",
    ),
    Column("target_s", "Time to target", "seconds", "Until the target accuracy was reached", "min"),
    Column("parameters_total", "Parameters", "large"),
    Column("parameters_trained", "Parameters trained", "large", is_default=True),
    Column("device", "Device", "text"),
    Column("dataset", "Dataset", "text"),
    Column("reported", "Reported by the authors", "text"),
)
BY_KEY: Mapping[str, Column] = {column.key: column for column in COLUMNS}


@dataclass(frozen=True)
class ResultLine:
    """A run's line: a value for each column, and the intervals of its accuracies."""

    row: ResultRow
    values: Mapping[str, Value]
    intervals: Mapping[str, Interval]
    """Split → 95 % interval of the accuracy on it."""


def result_lines(
    rows: Sequence[ResultRow],
    intervals: Mapping[tuple[int, str], Interval],
    target_s: Mapping[int, float | None],
) -> list[ResultLine]:
    """Return a line a row, in the same order.

    Args:
        intervals: By run and split; see `accuracy_intervals`.
        target_s: Run → seconds until its target accuracy; None where it was not reached.
    """
    return [
        ResultLine(
            row,
            {
                **{key: getattr(row, key) for key in BY_KEY if hasattr(row, key)},
                "target_s": target_s.get(row.run_id),
                "reported": "; ".join(row.reported_words) or None,
            },
            {
                split: intervals[row.run_id, split]
                for split in ("val", "test")
                if (row.run_id, split) in intervals
            },
        )
        for row in rows
    ]


def accuracy_intervals(
    rows: Sequence[ResultRow], evaluated: Sequence[EvaluationRow]
) -> dict[tuple[int, str], Interval]:
    """Return Wilson's 95 % interval of each accuracy in the table, by run and split.

    Args:
        evaluated: Tell the number of images; a run without has no interval yet.
    """
    from app.statistics.proportions import wilson  # nobody loads the statistics at start-up

    samples = {(one.run_id, one.split): one.samples for one in evaluated}
    found = {}
    for row in rows:
        for split, value in (("val", row.best_val_accuracy), ("test", row.test_accuracy)):
            count = samples.get((row.run_id, split))
            if value is not None and count:
                found[row.run_id, split] = wilson(value * count, count)
    return found


def time_to_target(points: SeriesPoints, target: float) -> float | None:
    """Return the training seconds until a series first reached a value; None if it never did.

    Args:
        target: In the unit of the series.
    """
    for seconds, value in zip(points.elapsed, points.values, strict=True):
        if value >= target:
            return float(seconds)
    return None


def best_values(lines: Sequence[ResultLine]) -> dict[str, float]:
    """Return the best of each column whose values differ; none for runs on different datasets."""
    if len({line.row.dataset for line in lines}) > 1:
        return {}
    best = {}
    for column in COLUMNS:
        choose: Callable[[list[float]], float] = max if column.better == "max" else min
        known = [
            value for line in lines if isinstance(value := line.values[column.key], int | float)
        ]
        if column.better is not None and len(set(known)) > 1:
            best[column.key] = choose(known)
    return best


def sorted_lines(lines: Sequence[ResultLine], sort: str) -> list[ResultLine]:
    """Return the lines by a column, those without a value last; in their order where it is empty.

    Args:
        sort: A column's key, with a minus before it for the largest first; `run` is the name.
    """
    if not sort:
        return list(lines)
    key = sort.removeprefix("-")

    def value(line: ResultLine) -> Value:
        found = line.row.label.casefold() if key == "run" else line.values[key]
        return None if isinstance(found, float) and math.isnan(found) else found

    known = [line for line in lines if value(line) is not None]
    known.sort(key=lambda line: value(line) or 0, reverse=sort.startswith("-"))
    return known + [line for line in lines if value(line) is None]
