"""What the loop eats: batches on the device, of pixels or of features kept from a frozen backbone.

A really frozen backbone (evaluation mode) gives the same features for the same pixels in every
epoch. Where augmentation leaves only one or two versions of an image, they are computed once and
only the head runs in each step: the same function, without the repeated work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainer.data import Batch, Split
from trainer.mixing import Mixer
from trainer.model import Network
from trainer.resolve import Choices
from trainer.spec import ExperimentSpec
from trainer.transforms import InputFormat, normalise

FEATURES_LIMIT_BYTES = 2 * 1024**3  # above, the backbone runs in every step

Inputs = tuple[Tensor, Tensor]
"""What the forward pass takes, [B, …], and labels, both on the device: [B] int64, or [B, C] float32
shares of the classes where batches are mixed."""


class Source(Protocol):
    """Gives batches in an order that depends on (seed, epoch) alone."""

    def train(self, epoch: int, batch_size: int, first: int) -> Iterator[Inputs]:
        """Yield an epoch's augmented batches from batch number `first` on."""

    def fixed(self, batch_size: int) -> Iterator[Inputs]:
        """Yield all samples in the split's order, without augmentation."""


class Forward:
    """A forward pass in the run's precision, with float32 logits at its end."""

    def __init__(self, module: nn.Module, choices: Choices) -> None:
        self._module = module
        self._device = choices.device
        self._half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(choices.precision)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return [B, C] float32 logits."""
        return self.outputs(inputs)[0]

    def outputs(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return [B, C] float32 logits; in training those of auxiliary classifiers follow."""
        enabled = self._half is not None
        with torch.autocast(self._device, dtype=self._half, enabled=enabled):
            found = self._module(inputs)
        several = found if isinstance(found, tuple) else (found,)
        # Some heads are convolutions.
        return tuple(logits.float().flatten(1) for logits in several if logits is not None)


class Pixels:
    """Batches of normalised images."""

    def __init__(
        self, split: Split, form: InputFormat, device: torch.device, mixer: Mixer | None = None
    ) -> None:
        """Take images from `split`; `mixer` mixes training batches."""
        self.split = split
        self._mixer = mixer
        self._form = form
        self._device = device

    def train(self, epoch: int, batch_size: int, first: int) -> Iterator[Inputs]:
        """Yield an epoch's augmented batches from batch number `first` on."""
        batches = self.split.train_batches(epoch, batch_size, first)
        for number, batch in enumerate(batches, start=first):
            images, labels = self._send(batch, batch.images)
            if self._mixer is not None:
                images, labels = self._mixer(images, labels, epoch, number)
            yield images, labels

    def fixed(self, batch_size: int) -> Iterator[Inputs]:
        """Yield all samples in the split's order, without augmentation."""
        for batch in self.split.fixed_batches(batch_size):
            yield self._send(batch, batch.images)

    def mirrored(self, batch_size: int) -> Iterator[Inputs]:
        """Yield all samples in the split's order, each mirrored left to right."""
        for batch in self.split.fixed_batches(batch_size):
            yield self._send(batch, batch.images.flip(-1))

    def _send(self, batch: Batch, images: Tensor) -> Inputs:
        if self._device.type == "cuda":
            images = images.pin_memory()
        sent = images.to(self._device, non_blocking=True)
        return normalise(sent, self._form), batch.labels.to(self._device, non_blocking=True)


class Features:
    """Batches of what the backbone made of each image, computed once."""

    def __init__(self, split: Split, variants: list[Tensor], device: torch.device) -> None:
        """Keep `variants`, each [N, …] on the device: of the plain images, and of mirrored ones."""
        self._split = split
        self._variants = variants
        self._labels = split.labels.to(device)

    def train(self, epoch: int, batch_size: int, first: int) -> Iterator[Inputs]:
        """Yield an epoch's batches from batch number `first` on, mirrored where the epoch says."""
        for indices in self._split.train_indices(epoch, batch_size, first):
            rows = torch.tensor(indices, device=self._labels.device)
            features = self._variants[0][rows]
            if len(self._variants) > 1:
                choice = [self._split.flipped(index, epoch) for index in indices]
                mirrored = torch.tensor(choice, device=rows.device)
                shape = (-1, *[1] * (features.ndim - 1))
                features = torch.where(mirrored.view(shape), self._variants[1][rows], features)
            yield features, self._labels[rows]

    def fixed(self, batch_size: int) -> Iterator[Inputs]:
        """Yield all samples in the split's order."""
        plain = self._variants[0]
        for start in range(0, len(plain), batch_size):
            yield plain[start : start + batch_size], self._labels[start : start + batch_size]


def feature_variants(spec: ExperimentSpec, network: Network, images: int) -> int:
    """Return how many versions of each training image to keep the features of; 0 for none.

    Args:
        spec: Freezing and augmentation decide.
        network: Its head must be its end, and what the head takes must fit the limit.
        images: Of the training split.
    """
    variants = spec.augmentation.finite_versions
    if not (spec.freeze.backbone_never_moves and network.head_is_last and variants):
        return 0
    size = network.form.size_px
    with torch.inference_mode(), _HeadInput(network) as seen:
        network.module.eval()(torch.zeros(1, 3, size, size))
    fits = seen.taken().nbytes * images * variants <= FEATURES_LIMIT_BYTES
    return variants if fits else 0


@torch.no_grad()
def compute_features(
    network: Network,
    forward: Forward,
    batches: Iterator[Inputs],
    after_batch: Callable[[int], None],
) -> Tensor:
    """Return what the head takes for all images, [N, …] on the device.

    Args:
        network: Put into evaluation mode here.
        forward: Of the whole network.
        batches: Pixels.
        after_batch: Told the size of each batch done; may raise to stop.
    """
    network.module.eval()
    kept = []
    with _HeadInput(network) as seen:
        for inputs, labels in batches:
            forward(inputs)
            kept.append(seen.taken())
            after_batch(len(labels))
    return torch.cat(kept).contiguous()  # as they come back from a file


class _HeadInput:
    """Remembers what the head was last given."""

    def __init__(self, network: Network) -> None:
        (self._head,) = network.heads()
        self._input: Tensor | None = None

    def __enter__(self) -> _HeadInput:
        self._handle = self._head.register_forward_pre_hook(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def taken(self) -> Tensor:
        if self._input is None:
            raise AssertionError("the head has not run")
        return self._input

    def _see(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._input = inputs[0].detach()
