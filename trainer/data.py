"""Hands batches of images to the loop; each file is decoded once while memory lasts.

What is kept never changes what comes out: a batch is a function of (split, seed, epoch, indices).
Threads decode ahead of the loop; Pillow and the resize release Python's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch
from torch import Tensor

from trainer.augment import Pipeline
from trainer.datasets.manifest import Item
from trainer.seeds import derive, epoch_order, sample_random
from trainer.transforms import InputFormat, centre, decode, random_crop

MEMORY_SHARE = 0.3  # of what is free at the start, for images kept in memory
BATCHES_AHEAD = 2  # enough to hide one slow batch behind the one before
DECODER_THREADS_LIMIT = 16  # Python's lock is the bottleneck beyond

Preset = Literal["none", "flip", "standard"]


class MemoryBudget:
    """Bytes of images that may still be kept."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        """Take `limit_bytes`, by default a share of what is free now."""
        free = int(psutil.virtual_memory().available * MEMORY_SHARE)
        self.left_bytes = free if limit_bytes is None else limit_bytes

    def take(self, wanted_bytes: int) -> bool:
        """Tell whether so many bytes may be kept, and count them if so."""
        if wanted_bytes > self.left_bytes:
            return False
        self.left_bytes -= wanted_bytes
        return True


@dataclass(frozen=True)
class Batch:
    """Images of one step."""

    indices: list[int]
    """Of the samples in their split."""
    images: Tensor
    """[B, 3, S, S] uint8 on the CPU."""
    labels: Tensor
    """[B] int64 on the CPU."""


class Split:
    """The images of one split, seen through one input format and one augmentation."""

    def __init__(
        self,
        root: Path,
        items: Sequence[Item],
        form: InputFormat,
        budget: MemoryBudget,
        pool: ThreadPoolExecutor,
        *,
        preset: Preset = "none",
        pipeline: Pipeline | None = None,
        vertical_flip: float = 0.0,
        seed: int = 0,
        fixed_epoch: int | None = None,
    ) -> None:
        """Look at `items` below `root`; nothing is decoded yet.

        Args:
            root: Folder that the items' paths start from.
            items: Of the split, in its order.
            form: What the network is fed.
            budget: Shared with the run's other splits.
            pool: Whose threads decode.
            preset: How training batches are augmented.
            pipeline: Takes the place of `preset`.
            vertical_flip: Share of the training images mirrored top to bottom in the end.
            seed: Of order and augmentation.
            fixed_epoch: Whose draws augment the fixed batches too; None: they are left alone.
        """
        self.items = tuple(items)
        self.labels = torch.tensor([item.label for item in self.items], dtype=torch.int64)
        self._root = root
        self._form = form
        self._preset = preset
        self._pipeline = pipeline
        self._vertical_flip = vertical_flip
        self._starts_with_frames = (
            preset == "standard" if pipeline is None else pipeline.start != "square"
        )
        self._seed = seed
        self._fixed_epoch = fixed_epoch
        self._budget = budget
        self._pool = pool
        self._frames: dict[int, Tensor] = {}
        """Whole decoded images, kept for random crops."""
        self._squares: Tensor | None = None
        """[N, 3, S, S] uint8: what the centre crop made of each image."""
        self._have = torch.zeros(len(self.items), dtype=torch.bool)
        size = form.size_px
        if not self._starts_with_frames and budget.take(len(self.items) * 3 * size * size):
            self._squares = torch.empty((len(self.items), 3, size, size), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.items)

    def train_batches(self, epoch: int, batch_size: int, first: int = 0) -> Iterator[Batch]:
        """Yield one epoch's augmented batches in its order, from batch number `first` on."""
        return self._batches(self.train_indices(epoch, batch_size, first), epoch)

    def train_indices(self, epoch: int, batch_size: int, first: int = 0) -> list[list[int]]:
        """Return the samples of each batch of an epoch, from batch number `first` on."""
        order = epoch_order(self._seed, epoch, len(self))
        return [order[a:b] for a, b in batch_bounds(len(self), batch_size)[first:]]

    def fixed_batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield all samples in the split's order, resized and centre-cropped or augmented once."""
        starts = range(0, len(self), batch_size)
        groups = [list(range(at, min(at + batch_size, len(self)))) for at in starts]
        return self._batches(groups, self._fixed_epoch)

    def flipped(self, index: int, epoch: int) -> bool:
        """Tell whether the flip preset mirrors a sample in an epoch."""
        return sample_random(self._seed, epoch, self.items[index].path).random() < 0.5

    def upended(self, index: int, epoch: int) -> bool:
        """Tell whether the vertical flip mirrors a sample in an epoch."""
        seed = derive(self._seed, "vertical flip")
        rng = sample_random(seed, epoch, self.items[index].path)
        return rng.random() < self._vertical_flip

    def _batches(self, groups: Sequence[list[int]], epoch: int | None) -> Iterator[Batch]:
        waiting: list[tuple[list[int], list[Future[Tensor] | None]]] = []
        for indices in groups:
            waiting.append((indices, [self._ask(index, epoch) for index in indices]))
            if len(waiting) > BATCHES_AHEAD:
                yield self._collect(*waiting.pop(0), epoch)
        for indices, futures in waiting:
            yield self._collect(indices, futures, epoch)

    def _ask(self, index: int, epoch: int | None) -> Future[Tensor] | None:
        """Start making a sample's square, unless it is there already."""
        if epoch is not None and self._pipeline is not None:
            return self._pool.submit(self._transformed, self._pipeline, index, epoch)
        if epoch is not None and self._preset == "standard":
            return self._pool.submit(self._random_square, index, epoch)
        if self._squares is not None and self._have[index]:
            return None
        return self._pool.submit(self._fixed_square, index)

    def _collect(
        self, indices: list[int], futures: list[Future[Tensor] | None], epoch: int | None
    ) -> Batch:
        rows = torch.tensor(indices)
        if epoch is not None and self._pipeline is not None:
            images = torch.stack([future.result() for future in futures if future is not None])
            self._have[rows] = self._squares is not None
        elif self._squares is not None:
            for index, future in zip(indices, futures, strict=True):
                if future is not None:
                    self._squares[index] = future.result()
            self._have[rows] = True
            images = self._squares[rows]
        else:
            images = torch.stack([future.result() for future in futures if future is not None])
        if epoch is not None and self._preset == "flip":
            mirrored = torch.tensor([self.flipped(index, epoch) for index in indices])
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        if epoch is not None and self._vertical_flip:
            upended = torch.tensor([self.upended(index, epoch) for index in indices])
            images = torch.where(upended.view(-1, 1, 1, 1), images.flip(-2), images)
        return Batch(indices, images, self.labels[rows])

    def _fixed_square(self, index: int) -> Tensor:
        return centre(self._frame(index), self._form)

    def _transformed(self, pipeline: Pipeline, index: int, epoch: int) -> Tensor:
        """Return what the pipeline makes of a sample; its fixed view is kept on the way."""
        if pipeline.start != "square":
            image = self._frame(index)
        elif self._squares is not None and self._have[index]:
            image = self._squares[index]
        else:
            image = self._fixed_square(index)
            if self._squares is not None:
                self._squares[index] = image
        return pipeline(image, epoch, self.items[index].path)

    def _random_square(self, index: int, epoch: int) -> Tensor:
        rng = sample_random(self._seed, epoch, self.items[index].path)
        return random_crop(self._frame(index), self._form, rng)

    def _frame(self, index: int) -> Tensor:
        kept = self._frames.get(index)
        if kept is not None:
            return kept
        frame = decode(self._root / self.items[index].path)
        if self._starts_with_frames and self._budget.take(frame.nbytes):
            self._frames[index] = frame
        return frame


def batch_bounds(samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Return where each batch of an epoch starts and ends.

    A last batch of one image joins the batch before it: batch normalisation after a global pool
    cannot work on a single image.
    """
    bounds = [(at, min(at + batch_size, samples)) for at in range(0, samples, batch_size)]
    if batch_size > 1 and len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        bounds[-2:] = [(bounds[-2][0], samples)]
    return bounds


def decoder_threads(threads: int) -> int:
    """Return how many threads decode on a machine that gives the run `threads` of its own."""
    return max(1, min(threads, DECODER_THREADS_LIMIT))
