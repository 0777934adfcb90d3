"""Small curves for the rows of a list: a series in a few values, read without its other columns."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from store.database import Store
from store.series import each_series

SKETCH_POINTS = 48


def sketches(store: Store, run_ids: Sequence[int], name: str) -> dict[int, list[float]]:
    """Return a series of each run that has it, as at most `SKETCH_POINTS` finite values.

    A long one is cut into stretches, of which one value each is kept.
    """
    found: dict[int, list[float]] = {}
    for run_id, _, (values,) in each_series(store, run_ids, [name], ["values"]):
        if thinned := _thinned(values):
            found[run_id] = thinned
    return found


def _thinned(values: array[float]) -> list[float]:
    known = [value for value in values if math.isfinite(value)]
    if len(known) <= SKETCH_POINTS:
        return known
    step = (len(known) - 1) / (SKETCH_POINTS - 1)
    return [known[round(place * step)] for place in range(SKETCH_POINTS)]
