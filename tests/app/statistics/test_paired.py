from __future__ import annotations

import itertools
import math
import random

import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, norm

from app.statistics.paired import (
    detectable_difference,
    difference_interval,
    mcnemar,
    tango_score,
)


@pytest.mark.parametrize(
    ("fixed", "broken", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 x 1/2
        (5, 0, 0.0625),  # 2 x 1/32
        (6, 0, 0.03125),  # 2 x 1/64
        (3, 1, 0.625),  # 2 x (1 + 4)/16
        (2, 2, 1.0),
    ],
)
def test_small_cases_by_hand(fixed: int, broken: int, p_value: float) -> None:
    assert mcnemar(fixed, broken) == pytest.approx(p_value, abs=1e-15)
    assert mcnemar(broken, fixed) == mcnemar(fixed, broken)


def test_the_exact_test_agrees_with_scipy() -> None:
    chance = random.Random(1)  # noqa: S311
    cases = [(34, 19), (200, 100), (0, 1200), (5000, 4800)]
    cases += [(chance.randrange(60), chance.randrange(60)) for _ in range(200)]
    for fixed, broken in cases:
        if fixed + broken:
            expected = binomtest(fixed, fixed + broken, 0.5).pvalue
            assert mcnemar(fixed, broken) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert mcnemar(34, 19) == pytest.approx(0.0534, abs=5e-5)


def _tango_by_search(difference: float, fixed: int, broken: int, total: int) -> float:
    """The score statistic from its definition: the likelihood maximised by scipy."""
    same = total - fixed - broken

    def minus_log_likelihood(q: float) -> float:
        shares = (q + difference, q, 1 - 2 * q - difference)
        counts = (fixed, broken, same)
        return -sum(
            count * math.log(max(share, 1e-300))
            for count, share in zip(counts, shares, strict=True)
            if count
        )

    low, high = max(0.0, -difference), (1 - difference) / 2
    q = minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    variance = 2 * q + difference - difference**2
    return (fixed - broken - total * difference) / math.sqrt(total * variance)


def test_the_score_agrees_with_the_likelihood_maximised_numerically() -> None:
    for fixed, broken, total in [(34, 19, 153), (8, 3, 60), (1, 12, 40), (20, 20, 50)]:
        for difference in (-0.3, -0.1, 0.05, 0.2):
            assert tango_score(difference, fixed, broken, total) == pytest.approx(
                _tango_by_search(difference, fixed, broken, total), abs=1e-4
            )
    assert tango_score(0.0, 34, 19, 153) == pytest.approx(15 / math.sqrt(53))  # McNemar's own z


def test_the_interval_never_contradicts_the_test() -> None:
    for total, fixed in itertools.product((12, 30, 53), range(13)):
        for broken in range(total - fixed + 1):
            low, high = difference_interval(fixed, broken, total)
            estimate = (fixed - broken) / total
            assert -1 <= low <= estimate + 1e-12
            assert estimate - 1e-12 <= high <= 1
            assert (low > 0 or high < 0) == (mcnemar(fixed, broken) <= 0.05), (fixed, broken)
    assert difference_interval(34, 19, 153)[0] == 0.0
    assert difference_interval(3, 8, 50) == pytest.approx(
        [-one for one in reversed(difference_interval(8, 3, 50))]
    )


def test_the_interval_covers_as_often_as_it_says() -> None:
    chance = random.Random(5)  # noqa: S311
    for only_first, only_second in ((0.1, 0.1), (0.05, 0.2), (0.02, 0.3)):
        covered = 0
        for _ in range(800):
            draws = chance.choices(
                "abc", (only_first, only_second, 1 - only_first - only_second), k=80
            )
            low, high = difference_interval(draws.count("b"), draws.count("a"), 80)
            covered += low <= only_second - only_first <= high
        assert covered / 800 >= 0.93


def test_the_detectable_difference_is_found_as_often_as_it_says() -> None:
    total, changed = 300, 0.2
    found = detectable_difference(total, changed)
    assert found is not None
    # The power of the exact test at that difference, summed over everything that can happen.
    upward = (changed + found) / (2 * changed)
    power = 0.0
    for count in range(total + 1):
        rejected = [one for one in range(count + 1) if mcnemar(one, count - one) <= 0.05]
        power += binom.pmf(count, total, changed) * binom.pmf(rejected, count, upward).sum()
    assert power == pytest.approx(0.8, abs=0.03)
    assert detectable_difference(4 * total, changed) == pytest.approx(found / 2, rel=0.05)
    assert found * math.sqrt(total) == pytest.approx(
        (norm.ppf(0.975) * math.sqrt(changed)) + norm.ppf(0.8) * math.sqrt(changed - found**2)
    )


@pytest.mark.parametrize(("total", "changed"), [(0, 0.5), (100, 0.0), (20, 0.1)])
def test_too_few_changed_images_detect_nothing(total: int, changed: float) -> None:
    assert detectable_difference(total, changed) is None
