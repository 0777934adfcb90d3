from __future__ import annotations

import math
import random
from array import array

import numpy as np
import pytest

from app.figures.packed import Window, base64_columns, best_point, packed_curves, wall_seconds


def series(values: list[float]) -> tuple[array, array]:
    return array("f", range(1, len(values) + 1)), array("d", values)


def test_series_packed_together_are_as_if_packed_alone():
    noise = random.Random(1)  # noqa: S311 - curves, not secrets
    several = [[noise.random() for _ in range(1000)] for _ in range(5)]
    several[2][500] = math.nan
    several[3][7] = 1e300  # beyond float32: a gap too
    several.append([0.5] * 20)
    several.append([])
    together = packed_curves([series(values) for values in several], Window(), 90)
    for values, found in zip(several, together, strict=True):
        (alone,) = packed_curves([series(values)], Window(), 90)
        assert (found.total, found.ends_at) == (alone.total, alone.ends_at)
        for one, other in zip(found.columns, alone.columns, strict=True):
            np.testing.assert_array_equal(one, other)
        assert len(found.columns[0]) <= 90
        drawn = found.columns[1]
        known = [value for value in values if abs(value) < 1e38]
        if known:
            assert np.nanmax(drawn) == pytest.approx(max(known))
            assert np.nanmin(drawn) == pytest.approx(min(known))
        assert np.isnan(drawn).any() == (len(known) < len(values))


def test_a_window_takes_one_more_point_on_each_side():
    (found,) = packed_curves([series([float(n) for n in range(100)])], Window(10.5, 20), 90)
    assert found.columns[0].tolist() == [float(n) for n in range(10, 22)]
    assert (found.total, found.ends_at) == (12, 100)
    (beyond,) = packed_curves([series([1.0, 2.0])], Window(50, 60), 90)
    assert beyond.columns[0].tolist() == [2.0]
    (before,) = packed_curves([series([1.0, 2.0])], Window(None, 0.5), 90)
    assert before.columns[0].tolist() == [1.0]


def test_no_curves_make_empty_columns():
    assert base64_columns([], ("x", "y")) == {"x": "", "y": ""}


def test_wall_clock_adds_what_a_run_stood_still_between_its_attempts():
    steps, elapsed = array("i", [1, 2, 3, 4, 5]), array("f", [1, 2, 3, 4, 5])
    assert list(wall_seconds(steps, elapsed, [(2, 10.0), (4, 100.0)])) == [1, 2, 13, 14, 105]
    assert list(wall_seconds(steps, elapsed, [(0, 0.0), (0, 7.0)])) == [8, 9, 10, 11, 12]


def test_the_best_point_is_the_one_of_its_epoch():
    epochs, xs, ys = array("f", [1, 2, 3]), array("i", [45, 90, 135]), array("d", [1, 2, math.nan])
    assert best_point(2, epochs, xs, ys) == (90.0, 2.0)
    assert best_point(3, epochs, xs, ys) is None
    assert best_point(9, epochs, xs, ys) is None
    assert best_point(None, epochs, xs, ys) is None
