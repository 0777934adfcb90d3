"""How an image becomes what the network sees: decode, resize, crop, flip, normalise.

Everything up to the crop works on uint8 tensors, so that its result can be kept; turning bytes
into numbers happens per batch, on the device.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from trainer.datasets.images import FORMATS
from trainer.errors import RunFailure

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
# Share of the resized image's side that the centre crop keeps where the weights do not say;
# torchvision's and timm's usual evaluation.
USUAL_CROP_SHARE = 224 / 256
# torchvision.transforms.RandomResizedCrop's defaults.
CROP_AREA = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
CROP_TRIES = 10


@dataclass(frozen=True)
class InputFormat:
    """What the network is fed: a square of `size_px`, cut from an image made smaller or larger."""

    size_px: int
    resize_px: int
    """Length of the shorter side (of both, where `squash`) before the centre crop."""
    squash: bool
    """Whether both sides become `resize_px`, whatever the image's shape."""
    interpolation: Literal["nearest", "bilinear", "bicubic"]
    mean: tuple[float, ...]
    """Of each colour channel, on the scale where white is 1."""
    std: tuple[float, ...]

    def describe(self) -> dict[str, Any]:
        """Return the choices as plain JSON, for the run's resolved choices."""
        return {
            "input_size_px": self.size_px,
            "resize_px": self.resize_px,
            "resize_mode": "squash" if self.squash else "shorter side",
            "interpolation": self.interpolation,
            "mean": list(self.mean),
            "std": list(self.std),
        }


def decode(path: Path) -> Tensor:
    """Return the image in a file as uint8 [3, H, W] in RGB, as ImageFolder's loader sees it.

    Raises:
        RunFailure: If the file is gone or cannot be decoded.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            pixels = np.array(image.convert("RGB"))
    except Exception as error:  # decoders raise nearly anything on broken input
        raise RunFailure(
            "An image cannot be read",
            f"`{path}` could not be decoded: {str(error) or type(error).__name__}.",
            "Restore the file, or prepare the dataset again so that it is left out.",
        ) from error
    # Rows of RGB pixels in memory are what the fast resize of bytes wants.
    return torch.from_numpy(pixels).permute(2, 0, 1)


def centre(image: Tensor, form: InputFormat) -> Tensor:
    """Return uint8 [3, S, S]: the image resized and cropped at its centre."""
    return torch.as_tensor(tvf.center_crop(resized(image, form), [form.size_px, form.size_px]))


def resized(image: Tensor, form: InputFormat) -> Tensor:
    """Return uint8 [3, H, W]: the image as large as it is before the crop."""
    size = [form.resize_px, form.resize_px] if form.squash else [form.resize_px]
    mode = InterpolationMode(form.interpolation)
    return torch.as_tensor(tvf.resize(image, size, interpolation=mode, antialias=True))


def random_crop(image: Tensor, form: InputFormat, rng: random.Random) -> Tensor:
    """Return uint8 [3, S, S]: a random part of the image, resized, flipped every other time."""
    top, left, height, width = _crop_box(image.shape[-2], image.shape[-1], rng)
    mode = InterpolationMode(form.interpolation)
    size = [form.size_px, form.size_px]
    cut = image[:, top : top + height, left : left + width]
    crop = torch.as_tensor(tvf.resize(cut, size, interpolation=mode, antialias=True))
    return crop.flip(-1) if rng.random() < 0.5 else crop


def normalise(images: Tensor, form: InputFormat) -> Tensor:
    """Return float32 [B, 3, S, S], channels last, out of uint8 [B, 3, S, S] on any device."""
    mean = torch.tensor(form.mean, device=images.device).mul_(255).view(-1, 1, 1)
    std = torch.tensor(form.std, device=images.device).mul_(255).view(-1, 1, 1)
    scaled = images.to(torch.float32).sub_(mean).div_(std)
    return scaled.contiguous(memory_format=torch.channels_last)


def _crop_box(height: int, width: int, rng: random.Random) -> tuple[int, int, int, int]:
    """Return top, left, height and width, drawn as torchvision's RandomResizedCrop draws them."""
    area = height * width
    for _ in range(CROP_TRIES):
        target = area * rng.uniform(*CROP_AREA)
        ratio = math.exp(rng.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        w = round(math.sqrt(target * ratio))
        h = round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            return rng.randint(0, height - h), rng.randint(0, width - w), h, w
    # No draw fitted: the largest centred part whose shape is allowed.
    shape = width / height
    if shape < CROP_RATIO[0]:
        w, h = width, round(width / CROP_RATIO[0])
    elif shape > CROP_RATIO[1]:
        w, h = round(height * CROP_RATIO[1]), height
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w
