from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from app.sampling import kept_indices


def test_a_spike_among_a_hundred_thousand_points_survives():
    values = [math.sin(index / 1000) for index in range(100_000)]
    values[54_321] = 50.0
    values[12_345] = -50.0
    kept = kept_indices(values, 1000)
    assert {54_321, 12_345, 0, 99_999} <= set(kept)
    assert len(kept) <= 1000


def test_short_series_are_kept_whole():
    assert kept_indices([1.0, 2.0, 3.0, 4.0], 4) == [0, 1, 2, 3]
    assert kept_indices([], 4) == []


def test_a_gap_of_missing_values_stays_visible():
    values = [1.0] * 100 + [math.nan] * 200 + [1.0] * 100
    kept = kept_indices(values, 40)
    assert any(math.isnan(values[index]) for index in kept)


def test_one_missing_value_in_a_long_series_is_not_drawn_over():
    values = [math.sin(index / 50) for index in range(5000)]
    values[3210] = math.nan
    values[1234] = math.inf
    kept = kept_indices(values, 100)
    assert {1234, 3210} <= set(kept)
    assert len(kept) <= 100


@given(
    st.lists(st.floats(allow_infinity=False), max_size=300),
    st.integers(min_value=4, max_value=100),
)
def test_kept_points_are_few_ordered_and_hold_the_extremes(values, max_points):
    kept = kept_indices(values, max_points)
    assert len(kept) <= max_points
    assert kept == sorted(set(kept))
    known = [value for value in values if not math.isnan(value)]
    if known:
        shown = [values[index] for index in kept if not math.isnan(values[index])]
        assert (min(shown), max(shown)) == (min(known), max(known))
