"""Images of one run's evaluation worth a look: confident mistakes, unsure hits, any by chance."""

from __future__ import annotations

import random
from typing import Literal

from app.flips import PAGE_SIZE, Gallery, gallery
from app.predictions import Predictions, predictions
from store.rows import EvaluationRow
from store.settings import Settings

Look = Literal["mistakes", "hits", "random"]
LOOKS: tuple[Look, ...] = ("mistakes", "hits", "random")
SEED_LIMIT = 10_000


def look(
    settings: Settings, row: EvaluationRow, which: Look, *, page: int = 1, seed: int = 0
) -> Gallery:
    """Return a page of the images; a draw has one page.

    Args:
        which: mistakes: wrong images, the most confident first. hits: right images, the least
            confident first. random: drawn by `seed`.

    Raises:
        PredictionsGone: If the predictions are not here.
    """
    found = predictions(settings, row)
    return gallery(settings, [row], look_places(found, which, seed), page)


def look_places(found: Predictions, which: Look, seed: int = 0) -> list[int]:
    """Return the places of the images in the order in which they are shown."""
    if which == "random":
        chance = random.Random(seed)  # noqa: S311 - a draw to look at, repeatable by its number
        return chance.sample(range(len(found)), min(PAGE_SIZE, len(found)))
    wanted = which == "hits"
    places = [place for place, right in enumerate(found.right) if right == wanted]
    return sorted(places, key=found.confidences.__getitem__, reverse=not wanted)
