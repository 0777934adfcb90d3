"""A run's images as what the loop eats: sources of training, validation and test batches."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from trainer.augment import pipeline
from trainer.data import MemoryBudget, Split
from trainer.datasets.manifest import Item, Manifest
from trainer.eventlog import EventLog
from trainer.kept_features import KeptFeatures
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
    kept: KeptFeatures | None = None
    """Where earlier runs left a frozen backbone's features, and this one leaves its own."""
    found_s: float = 0.0
    """Seconds that earlier runs took to compute what was found there."""
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
            kept = [
                self._features("train", train, mirrored=variant == 1) for variant in range(variants)
            ]
        with self.clock.span("validation"):
            kept_val = [self._features("val", val, mirrored=False)]
        text = f"The backbone's features of {images} images are kept in memory."
        if self.found_s:
            text += f" Earlier runs took {self.found_s:.1f} s to compute those that were found."
        self.log.note(text)
        device = self.choices.torch_device()
        return (
            self._head(),
            Features(train.split, kept, device),
            Features(val.split, kept_val, device),
        )

    def test(self, epoch: int, step: int, rate: float) -> tuple[Forward, Source]:
        """Return what runs on the test images, and their batches."""
        pixels = self.pixels("test")
        if not self.choices.feature_variants:
            return self.whole, pixels
        self.reporter.begin("test", epoch, step, rate, len(self.splits["test"]))
        kept = self._features("test", pixels, mirrored=False, step=step)
        return self._head(), Features(pixels.split, [kept], self.choices.torch_device())

    def _head(self) -> Forward:
        (head,) = self.network.heads()
        return Forward(head, self.choices)

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

    def _features(
        self, split: str, pixels: Pixels, *, mirrored: bool, step: int = 0
    ) -> torch.Tensor:
        items, device = self.splits[split], self.choices.torch_device()
        if self.kept is not None:
            found = self.kept.find(items, mirrored=mirrored, device=device)
            if found is not None:
                features, cost_s = found
                self.found_s += cost_s
                self.reporter.advance(len(items), step)
                return features

        def after_batch(images: int) -> None:
            self.reporter.advance(images, step)
            self.stop.check()

        began = time.monotonic()
        size = self.choices.evaluation_batch_size
        batches = pixels.mirrored(size) if mirrored else pixels.fixed(size)
        features = compute_features(self.network, self.whole, batches, after_batch)
        if self.kept is not None:
            self.kept.keep(items, features, time.monotonic() - began, mirrored=mirrored)
        return features
