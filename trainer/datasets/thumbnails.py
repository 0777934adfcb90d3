"""Images of a dataset as pages show them: a few of every class, and small versions."""

from __future__ import annotations

import hashlib
import io

from PIL import Image

from trainer.datasets.images import FORMATS, PIXEL_LIMIT
from trainer.datasets.manifest import Item, Manifest
from trainer.errors import FieldError, InvalidInput, TuneboardError

MEDIA_TYPE = "image/webp"
SIZES_PX = (8, 1024)
LOSSLESS_BELOW_PX = 64  # tiny scans are shown enlarged, where lossy compression would be seen


def sample_items(manifest: Manifest, per_class: int, seed: int = 0) -> list[tuple[str, Item]]:
    """Return up to `per_class` images of every class with their splits, in the classes' order.

    Which ones depends on the seed and the paths alone.
    """
    by_class: list[list[tuple[str, Item]]] = [[] for _ in manifest.classes or ("",)]
    for split, item in manifest.items.values():
        by_class[item.label].append((split, item))
    return [
        chosen
        for found in by_class
        for chosen in sorted(found, key=lambda pair: _rank(seed, pair[1].path))[:per_class]
    ]


def thumbnail(manifest: Manifest, path: str, size_px: int) -> bytes:
    """Return the image as WebP, shrunk to fit a square of `size_px`; small ones stay as they are.

    Like the trainer, it leaves a camera's rotation note alone: what is shown is what is seen.

    Raises:
        NotFound: If the dataset has no image of that path.
        InvalidInput: If the size is out of bounds.
        TuneboardError: If the file has changed since the dataset was prepared.
    """
    low, high = SIZES_PX
    if not low <= size_px <= high:
        raise InvalidInput.of(FieldError("size", size_px, f"in [{low}, {high}] pixels"))
    file = manifest.file(path)
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise ValueError("it has too many pixels")
            lossless = max(image.size) < LOSSLESS_BELOW_PX
            image.draft("RGB", (size_px, size_px))  # lets JPEG decode a smaller version
            small = image.convert("RGB")
        small.thumbnail((size_px, size_px))
        written = io.BytesIO()
        small.save(written, "WEBP", quality=80, lossless=lossless)
    except Exception as error:  # decoders raise nearly anything on broken input
        raise TuneboardError(
            f"`{path}` of the dataset `{manifest.name}` can no longer be read: {error}.",
            "Its files changed after it was prepared; prepare the dataset again.",
        ) from error
    return written.getvalue()


def _rank(seed: int, path: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{path}".encode()).digest()
