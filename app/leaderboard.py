"""The columns of the run list: which there are, and what stands in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.answers import RunOut
from store.database import Store
from store.evaluations import evaluations
from store.rows import EvaluationRow
from store.run_fields import RunField, RunFields
from store.sketches import sketches
from trainer.errors import FieldError, InvalidInput, nearest
from trainer.spec import flat_fields

DEFAULT_COLUMNS = (
    "status",
    "dataset",
    "architecture",
    "best_val_accuracy",
    "curve_val_accuracy",
    "epoch",
    "elapsed",
    "created",
)
COLUMNS_LIMIT = 40
CURVE_WIDTH, CURVE_HEIGHT, CURVE_PAD = 96, 24, 2

Value = Any
"""What JSON can hold."""


@dataclass(frozen=True)
class Sketch:
    """A small curve, as the points of an SVG polyline, and its ends in numbers."""

    points: str
    first: float
    last: float


@dataclass(frozen=True)
class Cell:
    """A value as the page shows it."""

    column: RunField
    value: Value
    text: str
    sketch: Sketch | None = None


def chosen_columns(names: Iterable[str], fields: RunFields) -> tuple[RunField, ...]:
    """Return the columns of those names, each once; the usual ones where none is named.

    Args:
        names: Each may hold several, with commas.

    Raises:
        InvalidInput: If there is no such column, or there are too many.
    """
    split = [name.strip() for given in names for name in given.split(",") if name.strip()]
    found = []
    for name in dict.fromkeys(split or DEFAULT_COLUMNS):
        column = fields.find(name)
        if column is None:
            remedy = nearest(name, fields.names) or "GET /api/v1/runs/fields lists them all."
            raise InvalidInput.of(FieldError("columns", name, "the name of a column", remedy))
        found.append(column)
    if len(found) > COLUMNS_LIMIT:
        raise InvalidInput.of(
            FieldError("columns", f"{len(found)} columns", f"at most {COLUMNS_LIMIT}")
        )
    return tuple(dict.fromkeys(found))


def table(
    store: Store, runs: Sequence[RunOut], columns: Sequence[RunField]
) -> list[dict[str, Value]]:
    """Return each run's values in the columns: numbers, texts, lists; curves as their values."""
    ids = [run.id for run in runs]
    curves = {
        column.name: sketches(store, ids, column.key[0])
        for column in columns
        if column.source == "curve"
    }
    evaluated: dict[tuple[int, str], EvaluationRow] = {}
    if any(column.source == "evaluation" for column in columns):
        evaluated = {(row.run_id, row.split): row for row in evaluations(store, ids)}
    wants_spec = any(column.source == "spec" for column in columns)
    found = []
    for run in runs:
        spec = flat_fields(run.spec) if wants_spec else {}
        values: dict[str, Value] = {}
        for column in columns:
            if column.source == "curve":
                values[column.name] = curves[column.name].get(run.id)
            elif column.source == "evaluation":
                row = evaluated.get((run.id, column.key[0]))
                values[column.name] = getattr(row, column.key[1]) if row is not None else None
            else:
                values[column.name] = _value(run, column, spec)
        found.append(values)
    return found


def cells(
    rows: Sequence[Mapping[str, Value]], columns: Sequence[RunField]
) -> list[tuple[Cell, ...]]:
    """Return the table's values as texts, and its curves as lines."""
    curves = {one.name: drawn(rows, one) for one in columns if one.source == "curve"}
    return [
        tuple(
            Cell(one, row[one.name], "", curves[one.name][place])
            if one.source == "curve"
            else Cell(one, row[one.name], shown(row[one.name], one))
            for one in columns
        )
        for place, row in enumerate(rows)
    ]


def shown(value: Value, column: RunField) -> str:
    """Return a value in words; a dash for none."""
    if value is None or value == [] or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    if isinstance(value, int | float):
        if column.unit == "%":
            return f"{value * 100:.2f} %"
        return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.4g}"
    return str(value)


def drawn(rows: Sequence[Mapping[str, Value]], column: RunField) -> list[Sketch | None]:
    """Return a curve's column as lines; all rows share one scale, so that they can be compared."""
    curves = [row[column.name] or [] for row in rows]
    values = [value for curve in curves for value in curve]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return [_sketch(curve, low, high) for curve in curves]


def _sketch(curve: Sequence[float], low: float, high: float) -> Sketch | None:
    if not curve:
        return None
    span = high - low or 1.0
    width, height = CURVE_WIDTH - 2 * CURVE_PAD, CURVE_HEIGHT - 2 * CURVE_PAD
    step = width / max(1, len(curve) - 1)
    points = [
        f"{CURVE_PAD + place * step:.1f},{CURVE_PAD + (high - value) / span * height:.1f}"
        for place, value in enumerate(curve)
    ]
    if len(points) == 1:
        points.append(f"{CURVE_WIDTH - CURVE_PAD},{points[0].partition(',')[2]}")
    return Sketch(" ".join(points), curve[0], curve[-1])


def _value(run: RunOut, column: RunField, spec: Mapping[str, Any]) -> Value:
    if column.source == "spec":
        return spec.get(column.key[0])
    if column.source == "metric":
        metric = run.metrics.get(column.key[0])
        value = getattr(metric, column.key[1]) if metric is not None else None
        return value if value is None or math.isfinite(value) else None
    own: Mapping[str, Value] = {
        "tag": run.tags,
        "dataset": run.dataset,
        "study": run.study_id,
        "created": run.created_at,
        "started": run.started_at,
        "finished": run.finished_at,
        "elapsed": run.elapsed_s,
        "attempts": run.attempt,
        "parameters": run.parameters_total,
        "trained_parameters": run.parameters_trained,
        "error": run.error.title if run.error is not None else None,
        "archived": run.archived_at is not None,
    }
    return own[column.name] if column.name in own else getattr(run, column.name)
