"""Curves as packed columns: what `GET /api/v1/compare/curves` answers and the page draws.

All curves' points lie one after the other in a few columns of little-endian float32, as base64:
nothing is an object a point. numpy is imported when a comparison is first drawn.
"""

from __future__ import annotations

import math
from array import array
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from app.figures.groups import GroupCurve
from app.sampling import kept_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

XAxis = Literal["epoch", "step", "seconds", "wall"]
POINTS_BUDGET = 60_000
"""Of all curves together, where a request names no number: 0.46 MB compressed."""
FEWEST_POINTS, MOST_POINTS = 50, 1_000


@dataclass(frozen=True)
class Window:
    """The part of the x-axis that is asked for; None where it is open."""

    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class PackedCurve:
    """One curve's columns, down-sampled, and what was left out."""

    columns: tuple[NDArray[Any], ...]
    """x first, then y and whatever belongs to the same points."""
    total: int
    """Points within the window before any was left out."""
    ends_at: float | None
    """x of the last point that has a value, inside the window or not."""


def points_share(curves: int, asked: int | None) -> int:
    """Return how many points each of so many curves may have."""
    if asked is not None:
        return asked
    return max(FEWEST_POINTS, min(MOST_POINTS, POINTS_BUDGET // max(1, curves)))


def as_columns(xs: array[Any], ys: array[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the columns for numpy, x as it is sent."""
    import numpy as np

    return np.asarray(xs, dtype=np.float32), np.asarray(ys, dtype=np.float64)


def last_known(xs: array[Any], ys: array[Any]) -> float | None:
    """Return x of the last point that has a value."""
    import numpy as np

    column, values = as_columns(xs, ys)
    known = np.flatnonzero(np.isfinite(values))
    return float(column[known[-1]]) if len(known) else None


def windowed(xs: NDArray[Any], window: Window) -> slice:
    """Return the points inside the window and one more on each side, to draw up to its edges."""
    import numpy as np

    first = 0 if window.start is None else int(np.searchsorted(xs, window.start, "left")) - 1
    end = len(xs) if window.end is None else int(np.searchsorted(xs, window.end, "right")) + 1
    return slice(max(0, first), max(0, end))


def packed_curve(xs: array[Any], ys: array[Any], window: Window, max_points: int) -> PackedCurve:
    """Return a series' points inside the window, at most `max_points` of them.

    Args:
        xs: Never falling.
        ys: As long; what is not finite becomes NaN, which is a gap.
    """
    import numpy as np

    column, values = as_columns(xs, ys)
    ends_at = last_known(xs, ys)
    part = windowed(column, window)
    column, values = column[part], values[part]
    total = len(values)
    if len(values) > max_points:
        kept = kept_array(values, max_points)
        column, values = column[kept], values[kept]
    with np.errstate(over="ignore"):
        drawn = values.astype(np.float32)
    drawn[~np.isfinite(drawn)] = np.nan
    return PackedCurve((column, drawn), total, ends_at)


def packed_group(curve: GroupCurve, window: Window, max_points: int) -> PackedCurve:
    """Return a group's points inside the window: x, mean, low, high and how many runs there are.

    Down-sampling keeps the least of the low and the greatest of the high values.
    """
    import numpy as np

    part = windowed(curve.x, window)
    columns = [curve.x, curve.mean, curve.low, curve.high, curve.runs]
    columns = [column[part] for column in columns]
    total = len(columns[0])
    if total > max_points:
        half = max(5, max_points // 2)
        low, high = columns[2], columns[3]
        kept = np.unique(np.concatenate([kept_array(low, half), kept_array(high, half)]))
        columns = [column[kept] for column in columns]
    known = np.flatnonzero(curve.runs)
    return PackedCurve(
        tuple(column.astype(np.float32) for column in columns),
        total,
        float(curve.x[known[-1]]) if len(known) else None,
    )


def base64_columns(curves: Sequence[PackedCurve], names: Sequence[str]) -> dict[str, str]:
    """Return each column of all curves, one after the other, as base64 of float32."""
    import numpy as np

    return {
        name: b64encode(
            np.concatenate([curve.columns[index] for curve in curves], dtype="<f4").tobytes()
            if curves
            else b""
        ).decode()
        for index, name in enumerate(names)
    }


def wall_seconds(
    steps: array[int], elapsed: array[float], stood_still: Sequence[tuple[int, float]]
) -> array[float]:
    """Return the seconds since training began, with those between attempts.

    Args:
        stood_still: (step, seconds) pairs: steps past the step are so much later.
    """
    pairs = iter([*stood_still, (None, 0.0)])
    later_s = 0.0
    after, next_s = next(pairs)
    wall = array("f")
    for step, seconds in zip(steps, elapsed, strict=True):
        while after is not None and step > after:
            later_s = next_s
            after, next_s = next(pairs)
        wall.append(seconds + later_s)
    return wall


def best_point(
    epoch: int | None, epochs: array[float], xs: array[Any], ys: array[Any]
) -> tuple[float, float] | None:
    """Return (x, y) at the end of an epoch, or None where the series has no value there."""
    if epoch is None:
        return None
    at = bisect_left(epochs, epoch)
    if at == len(epochs) or epochs[at] != epoch or not math.isfinite(ys[at]):
        return None
    return float(xs[at]), float(ys[at])
