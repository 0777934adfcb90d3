from __future__ import annotations

import random

import pytest

from app.statistics.importance import BINS, explained, importances


def test_eta_squared_by_hand() -> None:
    # Means 1 and 3 around 2: between 4 · 1 = 4; within 4 · 0.25 = 1; so 4 / 5.
    assert explained("aabb", [0.5, 1.5, 2.5, 3.5]) == pytest.approx(4 / 5)
    assert explained("abab", [1, 1, 2, 2]) == 0.0
    assert explained("aabb", [1, 1, 2, 2]) == 1.0
    assert explained("aabb", [1, 1, 1, 1]) == 0.0


def test_a_field_that_decides_is_clear_and_one_that_does_not_is_not() -> None:
    chance = random.Random(3)  # noqa: S311 - numbers to test with
    lr = ["0.1", "0.01", "0.001"] * 12
    noise = [str(chance.randrange(3)) for _ in lr]
    results = [{"0.1": 0.5, "0.01": 0.8, "0.001": 0.6}[one] + chance.gauss(0, 0.02) for one in lr]
    first, second = importances({"noise": noise, "optimizer.lr": lr}, results)
    assert (first.path, second.path) == ("optimizer.lr", "noise")
    assert first.share > 0.9
    assert first.is_clear
    assert not second.is_clear


def test_chance_is_what_theory_says() -> None:
    # Over shuffles the mean of eta squared is (groups - 1) / (runs - 1).
    chance = random.Random(1)  # noqa: S311 - numbers to test with
    results = [chance.random() for _ in range(21)]
    [found] = importances({"x": ["a", "b", "c"] * 7}, results, shuffles=2000)
    assert found.chance == pytest.approx(2 / 20, abs=0.01)
    assert found.limit > found.chance


def test_noise_is_called_clear_no_more_often_than_stated() -> None:
    chance = random.Random(5)  # noqa: S311 - numbers to test with
    clear = 0
    for _ in range(300):
        results = [chance.random() for _ in range(12)]
        values = [str(chance.randrange(3)) for _ in range(12)]
        clear += any(one.is_clear for one in importances({"x": values}, results, shuffles=100))
    assert clear / 300 < 0.09


def test_numbers_that_are_all_different_are_put_into_groups() -> None:
    results = [number / 40 for number in range(40)]
    [found] = importances({"optimizer.lr": [str(one) for one in results]}, results)
    assert (found.levels, found.is_binned) == (BINS, True)
    assert 0.8 < found.share < 1.0


def test_what_says_nothing_is_left_out_and_twins_are_named() -> None:
    found = importances(
        {
            "same": ["a"] * 6,
            "own": ["a", "b", "c", "d", "e", "f"],
            "one": ["a", "a", "a", "b", "b", "b"],
            "twin": ["x", "x", "x", "y", "y", "y"],
        },
        [1, 2, 3, 4, 5, 6],
    )
    assert {one.path: one.same_as for one in found} == {"one": ("twin",), "twin": ("one",)}
