"""MixUp and CutMix: each image of a batch is mixed with its neighbour, and the labels with it.

MixUp (arXiv:1710.09412) blends whole images, CutMix (arXiv:1905.04899) puts a rectangle of the
one into the other. As in torchvision's versions the partner is the image before it in the batch,
whose order is random anyway. What is drawn depends on (seed, epoch, batch) alone.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data_sections import AugmentationSpec
from trainer.seeds import derive


@dataclass(frozen=True)
class Draw:
    """How one batch is mixed."""

    way: Literal["mixup", "cutmix"]
    share: float
    """Of the image itself, the rest is its partner's; for CutMix before clipping to the image."""
    centre: tuple[float, float]
    """Of the rectangle, as shares of height and width."""


class Mixer:
    """Mixes the batches of a run."""

    def __init__(self, spec: AugmentationSpec, classes: int, seed: int) -> None:
        self._mixup = spec.mixup_alpha
        self._cutmix = spec.cutmix_alpha
        self._probability = 1.0 if spec.mix_probability is None else spec.mix_probability
        self._classes = classes
        self._seed = seed

    def draw(self, epoch: int, batch: int) -> Draw | None:
        """Return how a batch of an epoch is mixed; None where it is left alone."""
        rng = random.Random(derive(self._seed, "mix", epoch, batch))  # noqa: S311 (no secret)
        if rng.random() >= self._probability:
            return None
        cut = self._cutmix > 0 and (self._mixup == 0 or rng.random() < 0.5)
        alpha = self._cutmix if cut else self._mixup
        share = rng.betavariate(alpha, alpha)
        return Draw("cutmix" if cut else "mixup", share, (rng.random(), rng.random()))

    def __call__(
        self, images: Tensor, labels: Tensor, epoch: int, batch: int
    ) -> tuple[Tensor, Tensor]:
        """Return mixed images and each image's share of every class, [B, C] float32.

        Args:
            images: [B, 3, S, S] float32, normalised; left as they are.
            labels: [B] int64.
            epoch: From 1.
            batch: Its number in the epoch, from 0.
        """
        shares = functional.one_hot(labels, self._classes).to(torch.float32)
        draw = self.draw(epoch, batch)
        if draw is None:
            return images, shares
        partners = images.roll(1, 0)
        share = draw.share
        if draw.way == "mixup":
            mixed = images * share + partners * (1 - share)
        else:
            height, width = images.shape[-2:]
            top, left, bottom, right = rectangle(draw, height, width)
            mixed = images.clone()
            mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
            share = 1 - (bottom - top) * (right - left) / (height * width)
        return mixed, shares * share + shares.roll(1, 0) * (1 - share)


def rectangle(draw: Draw, height: int, width: int) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of what comes from the partner, within the image."""
    reach = 0.5 * math.sqrt(1 - draw.share)
    y, x = int(draw.centre[0] * height), int(draw.centre[1] * width)
    half_height, half_width = int(reach * height), int(reach * width)
    return (
        max(y - half_height, 0),
        max(x - half_width, 0),
        min(y + half_height, height),
        min(x + half_width, width),
    )


def dominant(labels: Tensor) -> Tensor:
    """Return the class that counts as right for each image, [B] int64: that of the largest share.

    Args:
        labels: [B] int64 as they are, or [B, C] shares.
    """
    return labels if labels.ndim == 1 else labels.argmax(dim=1)
