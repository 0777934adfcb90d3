"""Images of an evaluation as cards: the label, and what each run said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.api.evaluated_images import evaluated_image_url
from app.figures.style import run_style
from app.flips import Gallery
from app.predictions import Opinion
from store.rows import EvaluationRow

TOP = 5
LARGE_PX = 512


@dataclass(frozen=True)
class Said:
    """What a run said of an image."""

    run: str
    colour: str
    predicted: str
    probability: float
    is_right: bool
    probability_of_label: float
    top: tuple[tuple[str, float], ...]
    """The likeliest classes and their probabilities."""


@dataclass(frozen=True)
class Card:
    """An image to show."""

    index: int
    path: str
    label: str
    image: str
    large: str
    said: tuple[Said, ...]


def cards(
    gallery: Gallery,
    rows: Sequence[EvaluationRow],
    labels: Mapping[int, str],
    version: str,
) -> tuple[Card, ...]:
    """Return the images of a page.

    Args:
        rows: The evaluations that spoke, in the order of what they said.
        labels: Of the runs.
        version: Of the images; see `images_version`.
    """
    names = [one["name"] for one in rows[0].classes]
    run_id, split = rows[0].run_id, rows[0].split
    found = []
    for one in gallery.images:
        address = evaluated_image_url(run_id, split, one.index, version)
        found.append(
            Card(
                one.index,
                one.id,
                names[one.label],
                address,
                f"{address}{'&' if version else '?'}size={LARGE_PX}",
                tuple(
                    _said(said, names, labels[row.run_id], run_style(row.run_id).colour)
                    for row, said in zip(rows, one.said, strict=True)
                ),
            )
        )
    return tuple(found)


def _said(said: Opinion, names: Sequence[str], run: str, colour: str) -> Said:
    order = sorted(range(len(names)), key=said.probabilities.__getitem__, reverse=True)
    return Said(
        run,
        colour,
        names[said.predicted],
        said.probabilities[said.predicted],
        said.predicted == said.label,
        said.probabilities[said.label],
        tuple((names[place], said.probabilities[place]) for place in order[:TOP]),
    )
