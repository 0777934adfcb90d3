"""Two classifiers on the same images: the exact McNemar test and what goes with it.

Throughout, `fixed` counts the images that only the second classifier gets right and `broken`
those that only the first does; a difference is the second's accuracy less the first's.
"""

from __future__ import annotations

import math

from app.statistics.proportions import CONFIDENCE, normal_quantile

ALPHA = 0.05
POWER = 0.8
ROOT_STEPS = 60  # bisections of an interval of length 2: below 1e-17


def mcnemar(fixed: int, broken: int) -> float:
    """Return the p-value of the exact McNemar test, two-sided.

    Of the images on which the two disagree in being right, each is as likely one as the other if
    they are equally good: a binomial test of one half (McNemar 1947).
    """
    changed = fixed + broken
    if changed == 0:
        return 1.0
    count = min(fixed, broken)
    # The binomial probability of `count`, and those below as multiples of it.
    term = total = 1.0
    for below in range(count, 0, -1):
        term *= below / (changed - below + 1)
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, 2 * total * math.exp(_log_choose(changed, count) - changed * math.log(2)))


def difference_interval(
    fixed: int, broken: int, total: int, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return Tango's score interval of the paired difference, widened to agree with `mcnemar`.

    Tango's interval (Statistics in Medicine 17, 1998) belongs to the McNemar test without
    correction. Where the exact test at the same level does not exclude 0 but the interval would,
    its nearer end is put at 0: so the two never contradict each other, and the interval covers
    no less.

    Args:
        total: Images, those on which both are right or both wrong included.
    """
    if total <= 0:
        return -1.0, 1.0
    low = _tango_end(fixed, broken, total, confidence, lower=True)
    high = _tango_end(fixed, broken, total, confidence, lower=False)
    if mcnemar(fixed, broken) > 1 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    return low, high


def tango_score(difference: float, fixed: int, broken: int, total: int) -> float:
    """Return the score statistic of a hypothetical difference; it falls as the difference grows."""
    q = _broken_share(difference, fixed, broken, total)
    variance = total * (2 * q + difference * (1 - difference))
    gap = fixed - broken - total * difference
    if variance <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(variance)


def detectable_difference(
    total: int, changed_share: float, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """Return the smallest true difference that McNemar's test finds with that power.

    By Connor's formula (Biometrics 43, 1987), solved for the difference; None where even the
    largest possible one, all changed images in one direction, would be found less often.

    Args:
        changed_share: Share of the images on which just one of the two is right.
    """
    z_alpha, z_power = normal_quantile(1 - alpha), normal_quantile(2 * power - 1)

    def enough(difference: float) -> bool:
        spread = math.sqrt(max(0.0, changed_share - difference**2))
        return z_alpha * math.sqrt(changed_share) + z_power * spread <= difference * math.sqrt(
            total
        )

    if total <= 0 or changed_share <= 0 or not enough(changed_share):
        return None
    low, high = 0.0, changed_share
    for _ in range(ROOT_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _log_choose(size: int, count: int) -> float:
    return math.lgamma(size + 1) - math.lgamma(count + 1) - math.lgamma(size - count + 1)


def _broken_share(difference: float, fixed: int, broken: int, total: int) -> float:
    """Return the likeliest share of broken images if the true difference were `difference`."""
    a = 2 * total
    b = (2 * total - fixed + broken) * difference - fixed - broken
    c = -broken * difference * (1 - difference)
    return max(0.0, (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a))


def _tango_end(fixed: int, broken: int, total: int, confidence: float, *, lower: bool) -> float:
    """Return the difference at which the score statistic is ±z, by bisection."""
    z = normal_quantile(confidence)
    estimate = (fixed - broken) / total
    outer, inner = (-1.0, estimate) if lower else (1.0, estimate)
    for _ in range(ROOT_STEPS):
        middle = (outer + inner) / 2
        if abs(tango_score(middle, fixed, broken, total)) <= z:
            inner = middle
        else:
            outer = middle
    return inner
