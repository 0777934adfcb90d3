"""Small generated images that a network can tell apart, for tests that train."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

COLOURS = {"amber": (230, 160, 30), "blue": (30, 80, 220), "green": (40, 180, 70)}


def write_pictures(folder: Path, per_class: int = 12, side_px: int = 24) -> Path:
    """Write noisy pictures of three colours as CLASS/NUMBER.png below `folder`, and return it."""
    noise = random.Random(0)  # noqa: S311 — pictures, not secrets
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            picture = Image.new("RGB", (side_px, side_px))
            picture.putdata(
                [
                    tuple(min(255, max(0, value + noise.randint(-60, 60))) for value in colour)
                    for _ in range(side_px * side_px)
                ]
            )
            picture.save(folder / name / f"{number:03d}.png")
    return folder
