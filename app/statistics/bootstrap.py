"""A bootstrap interval for figures of a confusion matrix that are not shares of images."""

from __future__ import annotations

import random
from collections.abc import Sequence

from app.statistics.proportions import CONFIDENCE

DRAWS = 1000
CELLS_BUDGET = 40_000  # random numbers in all, some 50 ms; matrices of many cells get fewer draws
DRAWS_LEAST = 200


def macro_f1(cells: Sequence[tuple[int, int, float]], classes: int) -> float:
    """Return the mean F1 over the classes; 0 for one that is neither there nor predicted.

    Args:
        cells: (true class, predicted class, weight) of each cell that is not empty.
    """
    true, predicted, both = [0.0] * classes, [0.0] * classes, [0.0] * classes
    for row, column, weight in cells:
        true[row] += weight
        predicted[column] += weight
        if row == column:
            both[row] += weight
    return sum(
        2 * right / (of + as_) if of + as_ else 0.0
        for right, of, as_ in zip(both, true, predicted, strict=True)
    ) / max(classes, 1)


def macro_f1_interval(
    confusion: Sequence[Sequence[int]], confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of macro F1 by the Bayesian bootstrap (Rubin 1981).

    It gives every image a random weight instead of drawing images with repetition. The weights of
    the images in one cell add up to one gamma variable, so the work depends on the number of
    cells and not on the number of images.

    Args:
        confusion: [C][C] counts; the row is the true class.
    """
    cells = [
        (row, column, count)
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
        if count
    ]
    if not cells:
        return 0.0, 1.0
    chance = random.Random(seed)  # noqa: S311 - chance for a statistic, no secret
    draws = max(DRAWS_LEAST, min(DRAWS, CELLS_BUDGET // len(cells)))
    found = sorted(
        macro_f1(
            [(row, column, chance.gammavariate(count, 1.0)) for row, column, count in cells],
            len(confusion),
        )
        for _ in range(draws)
    )
    tail = (1 - confidence) / 2
    return found[round(tail * (draws - 1))], found[round((1 - tail) * (draws - 1))]
