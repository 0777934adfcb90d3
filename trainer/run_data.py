"""A run's images as what the loop eats: sources of training, validation and test batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from trainer.augment import pipeline
from trainer.data import MemoryBudget, Split
from trainer.datasets.manifest import Item, Manifest
from trainer.eventlog import EventLog
from trainer.mixing import Mixer
from trainer.model import Network
from trainer.optim import learning_rate
from trainer.progress import Clock, Reporter
from trainer.resolve import Choices
from trainer.sources import Features, Forward, Pixels, Source, compute_features
from trainer.spec import ExperimentSpec
from trainer.watch import StopRequest

VALIDATION_EPOCH = 0  # of augmented validation images, which no training epoch draws like
Splits = dict[str, tuple[Item, ...]]


@dataclass
class RunData:
    """The images of a run, decoded once for all of its sources."""

    spec: ExperimentSpec
    manifest: Manifest
    splits: Splits
    choices: Choices
    network: Network
    pool: ThreadPoolExecutor
    """Whose threads decode."""
    log: EventLog
    stop: StopRequest
    clock: Clock
    reporter: Reporter
    _budget: MemoryBudget = field(default_factory=MemoryBudget)

    def __post_init__(self) -> None:
        self.whole = Forward(self.network.module, self.choices)

    def sources(self) -> tuple[Forward, Source, Source]:
        """Return what runs in each step, and its training and validation batches."""
        train, val = self.pixels("train"), self.pixels("val")
        variants = self.choices.feature_variants
        if not variants:
            return self.whole, train, val
        images = variants * len(self.splits["train"]) + len(self.splits["val"])
        rate = learning_rate(self.spec, 1)
        self.reporter.begin("features", 1, 0, rate, images)
        with self.clock.span("compute"):
            kept = [self._compute(train, mirrored=variant == 1) for variant in range(variants)]
        with self.clock.span("validation"):
            kept_val = [self._compute(val, mirrored=False)]
        device = self.choices.torch_device()
        (head,) = self.network.heads()
        self.log.note(f"The backbone's features of {images} images are kept in memory.")
        return (
            Forward(head, self.choices),
            Features(train.split, kept, device),
            Features(val.split, kept_val, device),
        )

    def pixels(self, split: Literal["train", "val", "test"]) -> Pixels:
        """Return a split's images, those for training augmented, and for validation if asked."""
        spec = self.spec
        form = self.network.form
        root, seed = Path(self.manifest.root), spec.training.seed
        items, budget, device = self.splits[split], self._budget, self.choices.torch_device()
        augmentation = spec.augmentation
        if split == "test" or (split == "val" and augmentation.validation == "plain"):
            return Pixels(Split(root, items, form, budget, self.pool), form, device)
        preset = augmentation.preset
        images = Split(
            root,
            items,
            form,
            budget,
            self.pool,
            preset=preset if preset in ("none", "flip", "standard") else "none",
            pipeline=pipeline(augmentation, form, seed),
            vertical_flip=augmentation.vertical_flip,
            seed=seed,
            fixed_epoch=VALIDATION_EPOCH if split == "val" else None,
        )
        classes = len(self.manifest.classes)
        mixer = Mixer(augmentation, classes, seed) if augmentation.mixes else None
        return Pixels(images, form, device, mixer)

    def _compute(self, pixels: Pixels, *, mirrored: bool) -> torch.Tensor:
        size = self.choices.evaluation_batch_size
        batches = pixels.mirrored(size) if mirrored else pixels.fixed(size)
        return compute_features(self.network, self.whole, batches, self._after_batch)

    def _after_batch(self, images: int) -> None:
        self.reporter.advance(images, 0)
        self.stop.check()
