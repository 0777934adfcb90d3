"""Fewer points of a curve without losing its spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence


def kept_indices(values: Sequence[float], max_points: int) -> list[int]:
    """Return which points to keep, in order: the least and greatest of each of equal buckets.

    The first and last points are always among them. A point without a value (NaN) is kept only
    where its bucket has no other, so that a gap stays visible.

    Args:
        values: Any length; NaN where there was no finite value.
        max_points: At least 4; the result is at most that long.
    """
    count = len(values)
    if count <= max_points:
        return list(range(count))
    buckets = max_points // 2 - 1
    inner = count - 2
    kept = [0]
    for bucket in range(buckets):
        first = 1 + bucket * inner // buckets
        end = 1 + (bucket + 1) * inner // buckets
        kept += _extremes(values, first, end)
    kept.append(count - 1)
    return kept


def _extremes(values: Sequence[float], first: int, end: int) -> list[int]:
    """Return the indices of least and greatest value in [first, end), in order."""
    known = [index for index in range(first, end) if not math.isnan(values[index])]
    if not known:
        return [first]
    low = min(known, key=values.__getitem__)
    high = max(known, key=values.__getitem__)
    return sorted({low, high})
