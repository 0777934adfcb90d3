"""The loss that training makes small, and the plain one that epochs are judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from trainer.errors import FieldError, InvalidInput
from trainer.training_sections import LossSpec


def plain_loss(spec: LossSpec) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the spec's loss without smoothing and class weights: mean over logits and labels."""
    return functional.multi_margin_loss if spec.name == "hinge" else functional.cross_entropy


class TrainingLoss:
    """The loss of a batch, which may be computed in parts."""

    def __init__(self, spec: LossSpec, class_counts: Sequence[int], device: torch.device) -> None:
        """Take the spec's loss for a training split with so many images of each class.

        Raises:
            InvalidInput: If the weights given are not as many as the classes.
        """
        self._spec = spec
        weights = class_weights(spec, class_counts)
        self._weights = None if weights is None else torch.tensor(weights, device=device)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss, [].

        Args:
            logits: [B, C] float32.
            labels: [B] int64, each in [0, C), or for cross-entropy [B, C] float, shares.
        """
        if self._spec.name == "hinge":
            return functional.multi_margin_loss(logits, labels, weight=self._weights)
        smoothing = self._spec.label_smoothing
        if self._weights is None and not smoothing:
            return functional.cross_entropy(logits, labels)
        return functional.cross_entropy(
            logits, labels, weight=self._weights, label_smoothing=smoothing
        )

    def share(self, part: Tensor, whole: Tensor) -> Tensor | float:
        """Return what a part's mean counts in the mean of the whole batch, in [0, 1].

        Args:
            part: Labels of the part.
            whole: Labels of the whole batch.
        """
        weights = self._weights
        if weights is None or self._spec.name == "hinge" or whole.ndim > 1:
            return len(part) / len(whole)  # torch divides these by the number of images
        return weights[part].sum() / weights[whole].sum()


def class_weights(spec: LossSpec, class_counts: Sequence[int]) -> tuple[float, ...] | None:
    """Return the weight of each class, or None where all count alike.

    Raises:
        InvalidInput: If the weights given are not as many as the classes.
    """
    given, classes = spec.class_weights, len(class_counts)
    if given == "balanced":
        images = sum(class_counts)
        # A class without training images never meets its weight.
        return tuple(images / (classes * count) if count else 1.0 for count in class_counts)
    if not given:
        return None
    if len(given) != classes:
        raise InvalidInput.of(
            FieldError(
                "loss.class_weights",
                list(given),
                f"{classes} numbers, one for each class of the dataset",
                "Give them in the order of its classes, or write `balanced`.",
            )
        )
    return tuple(float(weight) for weight in given)
