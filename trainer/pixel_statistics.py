"""Mean and standard deviation of the training images' pixels, for `normalization: computed`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from trainer.data import Split


def pixel_statistics(
    split: Split, batch_size: int, after_batch: Callable[[], None]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each colour channel's mean and standard deviation, on the scale where white is 1.

    The images are taken as resized and centre-cropped. Sums of bytes and of their squares are
    whole numbers, so that neither threads nor the order of images changes anything. A channel
    that never varies gets a deviation of 1.

    Args:
        split: Whose fixed view is looked at.
        batch_size: Images looked at together.
        after_batch: Called after each; may raise to stop.
    """
    sums, squares, pixels = [0, 0, 0], [0, 0, 0], 0
    for batch in split.fixed_batches(batch_size):
        for channel, values in enumerate(batch.images.to(torch.int64).unbind(1)):
            sums[channel] += int(values.sum())
            squares[channel] += int((values * values).sum())
        pixels += batch.images[:, 0].numel()
        after_batch()
    means = tuple(total / pixels / 255 for total in sums)
    # Whole numbers to the end: a difference of two large floats would lose the small ones.
    variances = [
        (pixels * square - total * total) / (pixels * pixels)
        for total, square in zip(sums, squares, strict=True)
    ]
    return means, tuple(math.sqrt(variance) / 255 or 1.0 for variance in variances)
