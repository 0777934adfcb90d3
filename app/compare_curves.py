"""What the Compare page's curves are drawn from: read from the store and packed."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.figures.groups import BY_SETTINGS, Band, group_curve, grouped
from app.figures.packed import (
    PackedCurve,
    Window,
    XAxis,
    as_columns,
    base64_columns,
    best_point,
    last_known,
    packed_curves,
    packed_group,
    points_share,
    wall_seconds,
)
from store.database import Store
from store.events import heads
from store.series import Column, best_epochs, each_series, series_names
from store.spec_fields import spec_fields
from store.wallclock import gaps
from trainer.errors import FieldError, InvalidInput, NotFound, nearest

METRICS_LIMIT = 20
CURVES_LIMIT = 100_000  # points of one curve
BATCH_POINTS = 500_000  # held in memory at a time; 8 MB
_X_COLUMN: dict[XAxis, Column] = {
    "epoch": "epochs",
    "step": "steps",
    "seconds": "elapsed",
    "wall": "elapsed",
}


@dataclass(frozen=True)
class Question:
    """Which curves, against what, and which part of them."""

    run_ids: tuple[int, ...]
    metrics: tuple[str, ...]
    x: XAxis = "epoch"
    start: float | None = None
    end: float | None = None
    points: int | None = None
    group: str = ""
    """A field of the specs or `settings`; empty: a curve a run."""
    band: Band = "minmax"

    def __post_init__(self) -> None:
        """Check what the parameters' own bounds do not.

        Raises:
            InvalidInput: If the window is none.
        """
        for name, value in (("from", self.start), ("to", self.end)):
            if value is not None and not math.isfinite(value):
                raise InvalidInput.of(FieldError(name, str(value), "a finite number"))
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise InvalidInput.of(
                FieldError("to", self.end, f"greater than `from`, {self.start:g}")
            )

    @property
    def window(self) -> Window:
        """The part of the x-axis."""
        return Window(self.start, self.end)


@dataclass(frozen=True)
class _Series:
    """One run's series against the axis that is asked for."""

    run_id: int
    name: str
    xs: array[Any]
    ys: array[float]
    epochs: array[float]
    last_step: int


def curves_payload(store: Store, asked: Question) -> dict[str, Any]:
    """Return the curves as `GET /api/v1/compare/curves` answers them.

    Raises:
        NotFound: If one of the runs does not exist.
        InvalidInput: If the runs are to be grouped by a field that no spec has.
    """
    known = heads(store, asked.run_ids)
    for run_id in asked.run_ids:
        if run_id not in known:
            raise NotFound(f"There is no run {run_id}.", "The Runs page lists those there are.")
    names = series_names(store, asked.run_ids)
    wanted = [name for name in asked.metrics if name in names]
    found = (_groups if asked.group else _runs)(store, asked, wanted)
    longest = max(
        (one["total"] for one in found["curves"] if one["points"] < one["total"]), default=None
    )
    return {"x": asked.x, "metrics": names, "sampled_from": longest, **found}


def _runs(store: Store, asked: Question, wanted: Sequence[str]) -> dict[str, Any]:
    """Return a curve a run and metric."""
    share = points_share(len(asked.run_ids) * max(1, len(wanted)), asked.points)
    best = best_epochs(store, asked.run_ids)
    packed: list[PackedCurve] = []
    curves: list[dict[str, Any]] = []
    for batch in _batches(_read(store, asked, asked.run_ids, wanted)):
        drawn = packed_curves([(one.xs, one.ys) for one in batch], asked.window, share)
        packed += drawn
        curves += (
            {
                "run": one.run_id,
                "metric": one.name,
                "points": len(curve.columns[0]),
                "total": curve.total,
                "last_step": one.last_step,
                "ends_at": curve.ends_at,
                "best": best_point(best.get(one.run_id), one.epochs, one.xs, one.ys),
            }
            for one, curve in zip(batch, drawn, strict=True)
        )
    return {
        "points_per_curve": share,
        "curves": curves,
        "columns": base64_columns(packed, ("x", "y")),
    }


def _batches(found: Iterable[_Series]) -> Iterator[list[_Series]]:
    """Yield the series some at a time, so that the longest of them do not fill the memory."""
    batch: list[_Series] = []
    points = 0
    for one in found:
        batch.append(one)
        points += len(one.ys)
        if points >= BATCH_POINTS:
            yield batch
            batch, points = [], 0
    if batch:
        yield batch


def _groups(store: Store, asked: Question, wanted: Sequence[str]) -> dict[str, Any]:
    """Return a curve a group and metric, and which runs end before others of their group."""
    fields = spec_fields(store, asked.run_ids)
    paths = sorted({path for texts in fields.values() for path in texts})
    if asked.group != BY_SETTINGS and asked.group not in paths:
        raise InvalidInput.of(
            FieldError(
                "group",
                asked.group,
                f"`{BY_SETTINGS}` or a field of these runs' specs",
                nearest(asked.group, paths),
            )
        )
    groups = grouped(asked.run_ids, fields, asked.group)
    share = points_share(len(groups) * max(1, len(wanted)), asked.points)
    packed, curves, ended, without = [], [], [], []
    for number, group in enumerate(groups):
        for name in wanted:
            members = {
                one.run_id: as_columns(one.xs, one.ys)
                for one in _read(store, asked, group.run_ids, [name])
            }
            ends = {run_id: last_known(*columns) for run_id, columns in members.items()}
            curve = packed_group(
                group_curve(list(members.values()), asked.band), asked.window, share
            )
            packed.append(curve)
            curves.append(
                {
                    "group": number,
                    "metric": name,
                    "of": len(group.run_ids),
                    "points": len(curve.columns[0]),
                    "total": curve.total,
                    "ends_at": curve.ends_at,
                }
            )
            for run_id in group.run_ids:
                end = ends.get(run_id)
                if end is None:
                    without.append({"run": run_id, "metric": name})
                elif curve.ends_at is not None and end < curve.ends_at:
                    ended.append({"run": run_id, "metric": name, "at": end})
    return {
        "points_per_curve": share,
        "groups": [{"label": group.label, "runs": list(group.run_ids)} for group in groups],
        "curves": curves,
        "ended": ended,
        "without": without,
        "columns": base64_columns(packed, ("x", "y", "low", "high", "runs")),
    }


def _read(
    store: Store, asked: Question, run_ids: Sequence[int], names: Sequence[str]
) -> Iterator[_Series]:
    stood_still = gaps(store, run_ids) if asked.x == "wall" else {}
    columns: list[Column] = list(dict.fromkeys((_X_COLUMN[asked.x], "epochs", "steps", "values")))
    for run_id, name, found in each_series(store, run_ids, names, columns):
        by_name = dict(zip(columns, found, strict=True))
        xs = by_name[_X_COLUMN[asked.x]]
        if run_id in stood_still:
            xs = wall_seconds(by_name["steps"], xs, stood_still[run_id])
        yield _Series(run_id, name, xs, by_name["values"], by_name["epochs"], by_name["steps"][-1])
