"""How far a run's confidence can be believed: accuracy by probability, from its predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.predictions import Predictions

BINS = 15  # as the calibration error's


@dataclass(frozen=True)
class Bin:
    """The images whose likeliest class has a probability in (low, high]."""

    low: float
    high: float
    images: int
    confidence: float | None
    """Their mean probability; None where there are none."""
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """All bins, rising, and what they add up to."""

    bins: tuple[Bin, ...]
    images: int
    error: float
    """Expected calibration error: mean distance of confidence and accuracy, weighted by images."""
    confidence: float
    accuracy: float


def calibration(found: Predictions, bins: int = BINS) -> Calibration:
    """Return accuracy by confidence.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017; bins of equal width.
    """
    images, right = [0] * bins, [0] * bins
    told = [0.0] * bins
    for confidence, is_right in zip(found.confidences, found.right, strict=True):
        place = _bin(confidence, bins)
        images[place] += 1
        right[place] += is_right
        told[place] += confidence
    total = max(len(found), 1)
    return Calibration(
        bins=tuple(
            Bin(
                place / bins,
                (place + 1) / bins,
                count,
                told[place] / count if count else None,
                right[place] / count if count else None,
            )
            for place, count in enumerate(images)
        ),
        images=len(found),
        error=sum(abs(said - hit) for said, hit in zip(told, right, strict=True)) / total,
        confidence=sum(told) / total,
        accuracy=sum(right) / total,
    )


def _bin(confidence: float, bins: int) -> int:
    """Return the bin (k / bins, (k + 1) / bins] of a probability; 0 goes to the first."""
    return min(max(math.ceil(confidence * bins) - 1, 0), bins - 1)
