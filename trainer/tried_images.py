"""The image that somebody tries a model on: an uploaded file, or one of the run's evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainer.datasets.images import FORMATS, Probe, probe, quiet_decoders
from trainer.datasets.manifest import load_manifest
from trainer.errors import FieldError, InvalidInput, NotFound, RunFailure

ORIENTATION_TAG = 0x0112
"""Of EXIF: how a viewer should turn the image; 1 is not at all."""


@dataclass(frozen=True)
class TriedImage:
    """An image that can be decoded, and what is known of it."""

    file: Path
    about: dict[str, Any]
    """name, width, height, turned (whether viewers show it turned) and, of an evaluation's image,
    split, index, label and recorded (its probabilities then)."""


def find_image(asked: Mapping[str, Any], attempt: Path, manifest: Path | None) -> TriedImage:
    """Return the image that was asked for, after decoding it once.

    Args:
        asked: `file` and `name`, or `split` and `index`.
        attempt: Folder of the run's last attempt.
        manifest: Of the run's dataset, where an evaluation's image is asked for.

    Raises:
        InvalidInput: If the file is no image that can be read.
        NotFound: If the evaluation has no such image.
        RunFailure: If the image is gone.
    """
    if "file" in asked:
        file, about = Path(asked["file"]), {"name": asked["name"]}
        seen = _looked_at(file)
        if isinstance(seen, str):
            expected = f"an image that can be read ({seen})"
            remedy = "Send a JPEG, PNG, WebP, TIFF, BMP or GIF file."
            raise InvalidInput.of(FieldError("image", asked["name"], expected, remedy))
    else:
        file, about = _evaluated(asked["split"], asked["index"], attempt, manifest)
        seen = _looked_at(file)
        if isinstance(seen, str):
            raise RunFailure(
                "The validation image is gone",
                f"`{file}` is not what it was when the run was evaluated: {seen}.",
                "Prepare the dataset again, or upload the image.",
            )
    about |= {"width": seen.width, "height": seen.height, "turned": _is_turned(file)}
    return TriedImage(file, about)


def _evaluated(
    split: str, index: int, attempt: Path, manifest: Path | None
) -> tuple[Path, dict[str, Any]]:
    """Return an image of an evaluation by its place in it."""
    try:
        with np.load(attempt / "predictions" / f"{split}.npz", allow_pickle=False) as found:
            ids, labels, shares = found["ids"], found["labels"], found["probabilities"]
    except (OSError, ValueError, KeyError) as error:
        raise NotFound(
            f"The run recorded no predictions of {split} images.", "Upload an image instead."
        ) from error
    if not 0 <= index < len(ids):
        raise InvalidInput.of(
            FieldError("image.index", index, f"the place of a {split} image, 0 to {len(ids) - 1}")
        )
    if manifest is None or not manifest.is_file():
        raise RunFailure(
            "The dataset is gone",
            "The run's images are no longer here.",
            "Add the dataset again, or upload an image.",
        )
    name = str(ids[index])
    about = {
        "name": name,
        "split": split,
        "index": index,
        "label": int(labels[index]),
        "recorded": [float(share) for share in shares[index]],
    }
    return Path(load_manifest(manifest).root) / name, about


def _looked_at(file: Path) -> Probe | str:
    with quiet_decoders():
        return probe(file)


def _is_turned(file: Path) -> bool:
    """Tell whether viewers turn or mirror the image by its EXIF data, which training leaves out."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.getexif().get(ORIENTATION_TAG, 1) not in {0, 1}
    except Exception:  # odd metadata raises nearly anything, and says nothing then
        return False
