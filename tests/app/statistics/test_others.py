from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from app.statistics.bootstrap import macro_f1, macro_f1_interval
from app.statistics.proportions import wilson
from app.statistics.replicates import (
    crossed_interval,
    permutation_test,
    smallest_p,
    student_quantile,
)
from app.statistics.several import holm


@pytest.mark.parametrize(
    ("right", "total"), [(0, 10), (10, 10), (81, 263), (150, 153), (1, 1), (9_321, 10_000)]
)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_agrees_with_scipy(right: int, total: int, confidence: float) -> None:
    expected = stats.binomtest(right, total).proportion_ci(confidence, method="wilson")
    assert wilson(right, total, confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_wilson_of_nothing_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=5e-5)  # a textbook's figures


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    # 4 x 0.01; 3 x 0.02; 2 x 0.03 is no less than that; 1 x 0.5
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_holm_is_the_closed_test_with_bonferroni() -> None:
    chance = random.Random(3)  # noqa: S311
    for _ in range(50):
        found = [chance.random() ** 3 for _ in range(5)]
        closed = [
            max(
                min(1.0, len(some) * min(found[one] for one in some))
                for size in range(1, 6)
                for some in itertools.combinations(range(5), size)
                if index in some
            )
            for index in range(5)
        ]
        assert holm(found) == pytest.approx(closed)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([140, 141, 139, 142], [150, 149, 151, 150]),
        ([140, 141, 139, 142], [141, 140, 143, 139]),
        ([10, 10, 10, 10], [10, 10, 10, 10]),
        ([1, 5, 2, 8, 4], [7, 9, 9, 3]),
    ],
)
def test_the_permutation_test_agrees_with_scipy(first: list[int], second: list[int]) -> None:
    expected = stats.permutation_test(
        (first, second),
        lambda a, b, axis: abs(a.mean(axis=axis) - b.mean(axis=axis)),
        vectorized=True,
        n_resamples=np.inf,
        alternative="greater",
    ).pvalue
    assert permutation_test(first, second) == pytest.approx(expected)


def test_four_runs_a_side_apart_are_two_in_seventy() -> None:
    assert permutation_test([1, 2, 3, 4], [5, 6, 7, 8]) == pytest.approx(2 / 70)
    assert smallest_p(4, 4) == pytest.approx(2 / 70)
    assert permutation_test([1, 2, 3, 4], [50, 60, 70, 80, 90]) == pytest.approx(smallest_p(4, 5))


def test_many_runs_are_tested_by_random_draws() -> None:
    chance = random.Random(4)  # noqa: S311
    first = [chance.randrange(100) for _ in range(12)]
    second = [chance.randrange(100) + 12 for _ in range(12)]
    expected = stats.permutation_test(
        (first, second),
        lambda a, b, axis: abs(a.mean(axis=axis) - b.mean(axis=axis)),
        vectorized=True,
        n_resamples=20_000,
        alternative="greater",
        rng=np.random.default_rng(0),
    ).pvalue
    assert permutation_test(first, second) == pytest.approx(expected, abs=0.02)
    assert permutation_test(first, second) == permutation_test(first, second)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 10, 31, 152, 400, 1000])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_students_quantile_agrees_with_scipy(freedom: int, confidence: float) -> None:
    expected = stats.t.ppf(0.5 + confidence / 2, freedom)
    tolerance = 1e-9 if freedom <= 400 else 6e-3
    assert student_quantile(confidence, freedom) == pytest.approx(expected, rel=tolerance)


def test_the_crossed_interval_is_welchs_where_all_images_are_alike() -> None:
    # Every run is right on a share of the images that has nothing to do with which they are.
    generator = np.random.default_rng(2)
    first = generator.random((5, 4000)) < generator.normal(0.8, 0.05, (5, 1))
    second = generator.random((6, 4000)) < generator.normal(0.8, 0.05, (6, 1))
    low, high = crossed_interval(first.tolist(), second.tolist())
    expected = stats.ttest_ind(
        second.mean(axis=1), first.mean(axis=1), equal_var=False
    ).confidence_interval()
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.015)


def test_the_crossed_interval_covers_seeds_and_images() -> None:
    generator = np.random.default_rng(6)
    covered = 0
    for _ in range(200):
        # Each setting has its own hard images and its own luck with seeds.
        hard = generator.normal(0.8, 0.25, (2, 1, 120))
        luck = generator.normal(0, 0.04, (2, 4, 1))
        right = generator.random((2, 4, 120)) < np.clip(hard + luck, 0, 1)
        low, high = crossed_interval(right[0].tolist(), right[1].tolist())
        covered += low <= 0 <= high
    assert covered / 200 >= 0.93


def test_equal_runs_leave_no_doubt() -> None:
    same = [[True, False, True]] * 4
    assert crossed_interval(same, same) == (0.0, 0.0)


def _confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[list[int]]:
    found = np.zeros((classes, classes), dtype=int)
    np.add.at(found, (labels, predicted), 1)
    return found.tolist()


def test_the_bootstrap_of_macro_f1_agrees_with_drawing_images() -> None:
    generator = np.random.default_rng(7)
    labels = generator.integers(0, 4, 300)
    predicted = np.where(generator.random(300) < 0.75, labels, generator.integers(0, 4, 300))
    confusion = _confusion(labels, predicted, 4)
    cells = [(t, p, confusion[t][p]) for t in range(4) for p in range(4)]
    assert macro_f1(cells, 4) == pytest.approx(f1_score(labels, predicted, average="macro"))
    drawn = []
    for _ in range(3000):
        chosen = generator.integers(0, 300, 300)
        again = _confusion(labels[chosen], predicted[chosen], 4)
        drawn.append(macro_f1([(t, p, again[t][p]) for t in range(4) for p in range(4)], 4))
    low, high = macro_f1_interval(confusion)
    assert (low, high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))), abs=0.012)
    assert macro_f1_interval(confusion) == (low, high)


def test_macro_f1_of_nothing_and_of_absent_classes() -> None:
    assert macro_f1_interval([[0, 0], [0, 0]]) == (0.0, 1.0)
    assert macro_f1([(0, 0, 5)], 2) == 0.5
