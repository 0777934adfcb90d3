"""Numbers of a network as pictures: heat over an image, and maps side by side, as PNG files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainer.files import write_whole

# Stops of matplotlib's inferno and viridis (CC0): even in lightness, and told apart by the
# colour-blind.
INFERNO = ("#000004", "#420a68", "#932667", "#dd513a", "#fca50a", "#fcffa4")
VIRIDIS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")
LEGEND_PX = 34
OVERLAY_SIDE_PX = 320
"""Least side of the picture that is a file of its own; small inputs are made larger."""
OVERLAY_OPACITY = 0.65
TILE_PX = 64
"""Least side of a map in the picture; small maps are made larger by whole numbers."""
TILE_LIMIT_PX = 128
GAP_PX = 4
LABEL_PX = 14
LABEL_COLOUR = (128, 136, 144, 255)  # can be read on white and on black

Bytes = npt.NDArray[np.uint8]


def save_png(path: Path, image: Image.Image) -> None:
    """Write a picture; a reader finds all of it or nothing."""
    write_whole(path, lambda file: image.save(file, "PNG", compress_level=1))


def seen_image(square: Tensor) -> Image.Image:
    """Return what the network sees, uint8 [3, S, S], as a picture."""
    return Image.fromarray(square.permute(1, 2, 0).contiguous().numpy())


def heat_image(values: Tensor) -> Image.Image:
    """Return heat in [0, 1], [S, S], in colours that are the less opaque the colder they are."""
    levels = _levels(values)
    return Image.fromarray(np.dstack([_ramp(INFERNO)[levels], levels]))


def overlay_image(square: Tensor, values: Tensor, words: str) -> Image.Image:
    """Return heat over the image, with a legend below it.

    Args:
        square: uint8 [3, S, S].
        values: [S, S] in [0, 1].
        words: What the heat is of.
    """
    seen, heat = seen_image(square), heat_image(values)
    side = max(OVERLAY_SIDE_PX, seen.width)
    if side != seen.width:
        seen = seen.resize((side, side), Image.Resampling.NEAREST)
        heat = heat.resize((side, side), Image.Resampling.BILINEAR)
    heat.putalpha(heat.getchannel("A").point(lambda level: round(level * OVERLAY_OPACITY)))
    picture = Image.new("RGB", (side, side + LEGEND_PX), "white")
    picture.paste(Image.alpha_composite(seen.convert("RGBA"), heat).convert("RGB"))
    ramp = Image.fromarray(_ramp(INFERNO)[None]).resize((side - 16, 8))
    picture.paste(ramp, (8, side + 5))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=11)
    draw.text((8, side + 16), "not at all", fill="black", font=font)
    draw.text((side - 8, side + 16), "most", fill="black", font=font, anchor="ra")
    draw.text((side // 2, side + 16), _shortened(words, 34), fill="black", font=font, anchor="ma")
    return picture


def maps_image(maps: Tensor, first: int, columns: int) -> Image.Image:
    """Return maps side by side, each with its number below it and colours over its own range.

    Args:
        maps: [N, H, W].
        first: Number of the first map.
        columns: Maps in a row.
    """
    pictures = [Image.fromarray(_ramp(VIRIDIS)[_levels(_stretched(one))]) for one in maps]
    width, height = _tile(pictures[0].width, pictures[0].height)
    rows = math.ceil(len(pictures) / columns)
    columns = min(columns, len(pictures))
    step_x, step_y = width + GAP_PX, height + LABEL_PX + GAP_PX
    sheet = Image.new("RGBA", (columns * step_x - GAP_PX, rows * step_y - GAP_PX))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for place, picture in enumerate(pictures):
        x, y = place % columns * step_x, place // columns * step_y
        smaller = width < picture.width
        mode = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
        sheet.paste(picture.resize((width, height), mode), (x, y))
        draw.text(
            (x + width / 2, y + height + 1),
            str(first + place),
            fill=LABEL_COLOUR,
            font=font,
            anchor="ma",
        )
    return sheet


def _tile(width: int, height: int) -> tuple[int, int]:
    """Return how large a map is drawn: by a whole number larger, or as small as must be."""
    longer = max(width, height)
    if longer > TILE_LIMIT_PX:
        scale = TILE_LIMIT_PX / longer
        return max(1, round(width * scale)), max(1, round(height * scale))
    times = max(1, math.ceil(TILE_PX / longer))
    return width * times, height * times


def _stretched(values: Tensor) -> Tensor:
    """Return values stretched to [0, 1]; all 0 where they are all the same."""
    finite = values.nan_to_num(0.0, 0.0, 0.0)
    low, high = finite.min(), finite.max()
    return (finite - low) / (high - low) if high > low else torch.zeros_like(finite)


def _levels(values: Tensor) -> Bytes:
    found: Bytes = values.mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
    return found


def _ramp(stops: tuple[str, ...]) -> Bytes:
    """Return 256 colours between the stops, uint8 [256, 3]."""
    colours = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops])
    places = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(places, range(len(stops)), colours[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
