"""How often the verdict calls equal models, or equal settings, different.

Each simulated run trains for some epochs and keeps the epoch that is best on the very images it
is judged by, as runs judged on validation images do. Images differ in difficulty, and an epoch
repeats most of what the one before said. The stated share is 5 %.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from app.verdict.judge import judge
from tests.app.verdict.cases import candidate, evidence

IMAGES, EPOCHS, STATED = 153, 12, 0.05
Difficulty = np.ndarray


def difficulty(chance: np.random.Generator, mean: float = 0.85) -> Difficulty:
    """Return each image's probability of being right."""
    return chance.beta(mean * 3, (1 - mean) * 3, IMAGES)


def best_epoch(chance: np.random.Generator, probability: Difficulty, keeps: float = 0.7) -> bytes:
    """Return what the epoch with the best accuracy of one run got right."""
    now = chance.random(IMAGES) < probability
    best = now
    for _ in range(EPOCHS - 1):
        drawn = chance.random(IMAGES) < probability
        now = np.where(chance.random(IMAGES) < keeps, now, drawn)
        if now.sum() > best.sum():
            best = now
    return best.astype(np.uint8).tobytes()


def called_different(simulate: Callable[[], bool], times: int) -> float:
    return sum(simulate() for _ in range(times)) / times


def bound(times: int) -> float:
    """Return the stated share and three standard errors of its estimate."""
    return STATED + 3 * (STATED * (1 - STATED) / times) ** 0.5


def is_different(*candidates) -> bool:
    found = judge(evidence(*candidates)).comparisons
    return any(one.finding != "undecided" for one in found)


def test_two_equal_models_are_called_different_no_more_often_than_stated() -> None:
    chance = np.random.default_rng(11)

    def simulate() -> bool:
        images = difficulty(chance)
        return is_different(
            candidate(1, [best_epoch(chance, images)]), candidate(2, [best_epoch(chance, images)])
        )

    assert called_different(simulate, 1500) <= bound(1500)


def test_one_of_five_equal_models_is_called_different_no_more_often_than_stated() -> None:
    chance = np.random.default_rng(12)

    def simulate() -> bool:
        images = difficulty(chance)
        return is_different(*(candidate(run, [best_epoch(chance, images)]) for run in range(1, 7)))

    assert called_different(simulate, 500) <= bound(500)


def a_seed(chance: np.random.Generator, images: Difficulty, spread: float) -> bytes:
    """Return a run whose seed made it better or worse, by so much on average."""
    return best_epoch(chance, np.clip(images + chance.normal(0, spread), 0, 1))


@pytest.mark.parametrize("seeds", [(4, 4), (5, 4)])
def test_equal_settings_are_called_different_no_more_often_than_stated(
    seeds: tuple[int, int],
) -> None:
    chance = np.random.default_rng(13)

    def simulate() -> bool:
        images = difficulty(chance)
        sides = [[a_seed(chance, images, 0.03) for _ in range(count)] for count in seeds]
        return is_different(candidate(1, sides[0]), candidate(2, sides[1]))

    assert called_different(simulate, 400) <= bound(400)


def test_settings_that_err_on_other_images_are_not_better_as_such_more_often_than_stated() -> None:
    # Equally good in the long run, but each has images of its own that it finds hard.
    chance = np.random.default_rng(14)
    better_as_such = 0
    for _ in range(400):
        sides = [
            [a_seed(chance, images, 0.02) for _ in range(4)]
            for images in (difficulty(chance), difficulty(chance))
        ]
        (found,) = judge(evidence(candidate(1, sides[0]), candidate(2, sides[1]))).comparisons
        better_as_such += found.finding in {"better", "worse"}
    assert better_as_such / 400 <= bound(400)


def test_real_differences_are_found() -> None:
    chance = np.random.default_rng(15)

    def simulate() -> bool:
        images = difficulty(chance, 0.7)
        better = np.clip(images + 0.2, 0, 1)
        return is_different(
            candidate(1, [best_epoch(chance, images)]), candidate(2, [best_epoch(chance, better)])
        )

    assert called_different(simulate, 200) > 0.8


def test_one_seed_each_would_mislead_about_settings_which_is_why_it_does_not_speak_of_them() -> (
    None
):
    # The same settings; their seeds differ so much that single models do, truly.
    chance = np.random.default_rng(16)
    called = 0
    for _ in range(300):
        images = difficulty(chance, 0.7)
        one, two = (candidate(run, [a_seed(chance, images, 0.12)]) for run in (1, 2))
        (found,) = judge(evidence(one, two)).comparisons
        called += found.finding != "undecided"
        assert found.about == "models"
    assert called / 300 > 2 * STATED
