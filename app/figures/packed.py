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
from app.sampling import kept_array, kept_rows

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


def last_known(xs: NDArray[Any], ys: NDArray[Any]) -> float | None:
    """Return x of the last point that has a value."""
    import numpy as np

    known = np.flatnonzero(np.isfinite(ys))
    return float(xs[known[-1]]) if len(known) else None


def windowed(xs: NDArray[Any], window: Window) -> slice:
    """Return the points inside the window and one more on each side, to draw up to its edges."""
    import numpy as np

    first = 0 if window.start is None else int(np.searchsorted(xs, window.start, "left")) - 1
    end = len(xs) if window.end is None else int(np.searchsorted(xs, window.end, "right")) + 1
    return slice(max(0, first), max(0, end))


def packed_curves(
    series: Sequence[tuple[array[Any], array[Any]]], window: Window, max_points: int
) -> list[PackedCurve]:
    """Return the points of each series inside the window, at most `max_points` of them.

    Args:
        series: (x, y) columns; x never falls, and what is not finite in y becomes NaN, a gap.
    """
    found: dict[int, PackedCurve] = {}
    alike: dict[int, list[int]] = {}
    for place, (xs, ys) in enumerate(series):
        if window == Window() and len(ys) > max_points:
            alike.setdefault(len(ys), []).append(place)
        else:
            found[place] = _packed(*as_columns(xs, ys), window, max_points)
    for places in alike.values():
        together = _packed_together([as_columns(*series[place]) for place in places], max_points)
        found.update(zip(places, together, strict=True))
    return [found[place] for place in range(len(series))]


def _packed(xs: NDArray[Any], ys: NDArray[Any], window: Window, max_points: int) -> PackedCurve:
    ends_at = last_known(xs, ys)
    part = windowed(xs, window)
    xs, ys = xs[part], ys[part]
    total = len(ys)
    if total > max_points:
        kept = kept_array(ys, max_points)
        xs, ys = xs[kept], ys[kept]
    return PackedCurve((xs, _drawn(ys)), total, ends_at)


def _packed_together(
    columns: Sequence[tuple[NDArray[Any], NDArray[Any]]], max_points: int
) -> list[PackedCurve]:
    """Return what `_packed` does of whole series of one length, in a third of the time."""
    import numpy as np

    values = np.stack([ys for _, ys in columns])
    is_whole = np.isfinite(values).all(axis=1)
    found = {
        place: _packed(*columns[place], Window(), max_points)
        for place in np.flatnonzero(~is_whole).tolist()
    }
    whole = np.flatnonzero(is_whole).tolist()
    if whole:
        xs = np.stack([columns[place][0] for place in whole])
        indices, is_new = kept_rows(values[is_whole], max_points)
        x = np.take_along_axis(xs, indices, axis=1)[is_new]
        y = _drawn(np.take_along_axis(values[is_whole], indices, axis=1)[is_new])
        ends = np.cumsum(is_new.sum(axis=1)).tolist()
        starts = [0, *ends[:-1]]
        for place, start, end, last_x in zip(whole, starts, ends, xs[:, -1].tolist(), strict=True):
            found[place] = PackedCurve((x[start:end], y[start:end]), values.shape[1], last_x)
    return [found[place] for place in range(len(columns))]


def _drawn(ys: NDArray[Any]) -> NDArray[Any]:
    """Return the values as they are sent: float32, NaN where they are not finite."""
    import numpy as np

    with np.errstate(over="ignore"):
        drawn = ys.astype(np.float32)
    drawn[~np.isfinite(drawn)] = np.nan
    return drawn


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
