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

    count = len(values)
    if count <= max_points:
        return np.arange(count)
    known = np.isfinite(values)
    has_gaps = not known.all()
    lows = np.where(known, values, np.inf) if has_gaps else values
    highs = np.where(known, values, -np.inf) if has_gaps else values
    has_gaps = has_gaps and max_points >= 5
    room = (max_points - 2) // (3 if has_gaps else 2)
    extremes = [_of_buckets(np.argmin, lows, room), _of_buckets(np.argmax, highs, room)]
    if has_gaps:
        gaps = _of_buckets(np.argmin, known, room)  # a bucket's first point where none is missing
        extremes.append(np.where(known[gaps], extremes[0], gaps))
    kept = np.empty(len(extremes) * len(extremes[0]) + 2, dtype=np.int64)
    kept[0], kept[-1] = 0, count - 1
    kept[1:-1] = np.sort(np.stack(extremes), axis=0).T.ravel()
    is_new = np.empty(len(kept), dtype=bool)
    is_new[0] = True
    np.not_equal(kept[1:], kept[:-1], out=is_new[1:])
    return kept[is_new]


def _of_buckets(pick: Any, column: NDArray[Any], buckets: int) -> NDArray[Any]:
    """Return the index that `pick` finds in each of at most so many buckets of the inner points."""
    import numpy as np

    inner = len(column) - 2
    size = -(-inner // buckets)
    whole = inner // size
    found = pick(column[1 : 1 + whole * size].reshape(whole, size), axis=1)
    found += np.arange(1, 1 + whole * size, size)
    rest = column[1 + whole * size : -1]
    return np.append(found, 1 + whole * size + pick(rest)) if len(rest) else found
