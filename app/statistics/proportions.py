"""An interval for a share, such as an accuracy."""

from __future__ import annotations

import math
from statistics import NormalDist

CONFIDENCE = 0.95


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """Return z such that a standard normal lies within ±z with that probability."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(right: float, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's score interval of a share (Wilson 1927), without continuity correction.

    Args:
        right: Images right, in [0, total].
        total: Images; for 0 nothing is known and the interval is (0, 1).
    """
    if total <= 0:
        return 0.0, 1.0
    z2 = normal_quantile(confidence) ** 2
    share = right / total
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    # At the ends the formula gives 0 or 1 but for rounding.
    low = 0.0 if right <= 0 else max(0.0, middle - half)
    return low, 1.0 if right >= total else min(1.0, middle + half)
