"""Settings rather than models: every setting trained under several seeds.

A setting's runs are exchangeable with the other's if the settings do the same, whatever is done
within a run (such as taking the best epoch), so a permutation test of the runs is exact. That is
about seeds. An interval that also holds for other images has to add the images' own spread.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist, fmean, variance

from app.statistics.proportions import CONFIDENCE

MIN_RUNS = 4  # a side; with 3 and 3 the smallest possible p-value is 0.1
EXACT_LIMIT = 20_000  # ways to divide the runs; some 20 ms
DRAWS = 10_000


def permutation_test(first: Sequence[int], second: Sequence[int], seed: int = 0) -> float:
    """Return the two-sided p-value of a permutation test of the means' difference.

    All divisions of the runs are looked at where they are few; else `DRAWS` random ones, and the
    one observed with them, which keeps the test valid (Phipson and Smyth 2010).

    Args:
        first: Images right in each run of a setting; whole numbers, so that ties are exact.
        second: The same for the other setting, on the same images.
    """
    everyone = [*first, *second]
    size, count = len(first), len(everyone)
    whole = sum(everyone)

    def gap(part: int) -> int:
        # |mean of the part - mean of the rest|, times both sizes
        return abs(part * (count - size) - (whole - part) * size)

    observed = gap(sum(first))
    ways = math.comb(count, size)
    if ways <= EXACT_LIMIT:
        as_far = sum(gap(sum(part)) >= observed for part in combinations(everyone, size))
        return as_far / ways
    draw = random.Random(seed)  # noqa: S311 - chance for a statistic, no secret
    as_far = sum(gap(sum(draw.sample(everyone, size))) >= observed for _ in range(DRAWS))
    return (as_far + 1) / (DRAWS + 1)


def smallest_p(first: int, second: int) -> float:
    """Return the smallest p-value that so many runs a side can give."""
    return (2 if first == second else 1) / math.comb(first + second, first)


def crossed_interval(
    first: Sequence[Sequence[int]],
    second: Sequence[Sequence[int]],
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Return an interval of the settings' difference for other seeds and other images.

    Runs and images are crossed random samples. The variances of the mean difference over the runs
    and over the images are added, which counts what belongs to neither alone twice and so errs
    on the wide side (Owen 2007, The pigeonhole bootstrap); Student's t with Welch's degrees of
    freedom for the runs.

    Args:
        first: [runs][images], 1 where right, else 0; at least two runs and two images.
        second: The same of the other setting, on the same images in the same order.
    """
    means = [[fmean(run) for run in side] for side in (first, second)]
    difference = fmean(means[1]) - fmean(means[0])
    of_runs = [variance(side) / len(side) for side in means]
    right = [
        [sum(runs) / len(side) for runs in zip(*side, strict=True)] for side in (first, second)
    ]
    by_image = [after - before for before, after in zip(*right, strict=True)]
    of_images = variance(by_image) / len(by_image)
    spread = sum(of_runs) + of_images
    if spread == 0:
        return difference, difference
    parts = [(of, len(side) - 1) for of, side in zip(of_runs, means, strict=True)]
    parts.append((of_images, len(by_image) - 1))
    freedom = spread**2 / sum(of**2 / degrees for of, degrees in parts if of)
    half = student_quantile(confidence, int(freedom)) * math.sqrt(spread)
    return max(-1.0, difference - half), min(1.0, difference + half)


def student_quantile(confidence: float, freedom: int) -> float:
    """Return t such that Student's distribution lies within ±t with that probability.

    Args:
        freedom: Degrees of freedom, at least 1.
    """
    if freedom > 400:  # equal to three digits
        return NormalDist().inv_cdf(0.5 + confidence / 2)
    low, high = 0.0, 1.0
    while _student_within(high, freedom) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _student_within(middle, freedom) < confidence else (low, middle)
        )
    return high


def _student_within(t: float, freedom: int) -> float:
    """Return P(|T| <= t); a finite sum for whole degrees (Abramowitz and Stegun 26.7.3-4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    if freedom % 2:
        term, total = cosine, cosine if freedom > 1 else 0.0
        for k in range(3, freedom - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        return 2 / math.pi * (angle + sine * total)
    term = total = 1.0
    for k in range(2, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    return sine * total
