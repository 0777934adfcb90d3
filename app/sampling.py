"""Fewer points of a curve without losing its spikes.

numpy is loaded by the first series that is too long, and not before: the web process idles
without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def kept_indices(values: Sequence[float], max_points: int) -> list[int]:
    """Return which points to keep, in order: the least and greatest of each of equal buckets.

    The first and last points are always among them. A bucket that holds a value that is not
    finite keeps one such point too, so that a gap stays visible, however short.

    Args:
        values: Any length; what is not finite is no value.
        max_points: At least 4; the result is at most that long. Only from 5 on is there room for
            gaps.
    """
    if len(values) <= max_points:
        return list(range(len(values)))
    import numpy as np

    indices: list[int] = kept_array(np.asarray(values, dtype=np.float64), max_points).tolist()
    return indices


def kept_array(values: NDArray[Any], max_points: int) -> NDArray[Any]:
    """Return what `kept_indices` does, for a float column, as an array."""
    import numpy as np

    if len(values) <= max_points:
        return np.arange(len(values))
    indices, is_new = kept_rows(values[np.newaxis], max_points)
    kept: NDArray[Any] = indices[0][is_new[0]]
    return kept


def kept_rows(values: NDArray[Any], max_points: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return which points to keep of several columns at once, as rows of indices in order.

    An index may come twice in a row; the second result says where it is new.

    Args:
        values: [rows, points] float, with more points than `max_points`.
    """
    import numpy as np

    rows, count = values.shape
    known = np.isfinite(values)
    has_gaps = not known.all()
    lows = np.where(known, values, np.inf) if has_gaps else values
    highs = np.where(known, values, -np.inf) if has_gaps else values
    has_gaps = has_gaps and max_points >= 5
    room = (max_points - 2) // (3 if has_gaps else 2)
    extremes = [_of_buckets(np.argmin, lows, room), _of_buckets(np.argmax, highs, room)]
    if has_gaps:
        gaps = _of_buckets(np.argmin, known, room)  # a bucket's first point where none is missing
        extremes.append(np.where(np.take_along_axis(known, gaps, axis=1), extremes[0], gaps))
    inner = np.sort(np.stack(extremes, axis=2), axis=2).reshape(rows, -1)
    indices = np.empty((rows, inner.shape[1] + 2), dtype=np.int64)
    indices[:, 0], indices[:, 1:-1], indices[:, -1] = 0, inner, count - 1
    is_new = np.ones(indices.shape, dtype=bool)
    np.not_equal(indices[:, 1:], indices[:, :-1], out=is_new[:, 1:])
    return indices, is_new


def _of_buckets(pick: Any, columns: NDArray[Any], buckets: int) -> NDArray[Any]:
    """Return the index that `pick` finds in each of at most so many buckets of the inner points."""
    import numpy as np

    rows, count = columns.shape
    size = -(-(count - 2) // buckets)
    whole = (count - 2) // size
    end = 1 + whole * size
    found: NDArray[Any] = pick(columns[:, 1:end].reshape(rows, whole, size), axis=2)
    found += np.arange(1, end, size)
    if end == count - 1:
        return found
    with_rest: NDArray[Any] = np.column_stack([found, end + pick(columns[:, end:-1], axis=1)])
    return with_rest
