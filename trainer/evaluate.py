"""Runs a network over a split without changing it, and writes what it said of every image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainer.datasets.manifest import Item, samples_fingerprint
from trainer.events import Evaluated
from trainer.files import write_atomically
from trainer.metrics import (
    calibration_error,
    class_figures,
    confusion_matrix,
    macro_figures,
    top5_accuracy,
)

Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Outcome:
    """What a network says of a split, in the split's order."""

    logits: Tensor
    """[N, C] float32 on the CPU."""
    labels: Tensor
    """[N] int64 on the CPU."""
    criterion: Criterion = functional.cross_entropy
    """Mean loss of logits and labels; nats for the default."""

    @property
    def loss(self) -> float:
        """Mean loss over all images, without smoothing and class weights."""
        return float(self.criterion(self.logits.double(), self.labels))

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, a fraction in [0, 1]."""
        right = int((self.predictions() == self.labels).sum())
        return right / len(self.labels)

    def predictions(self) -> Tensor:
        """Return the most likely class of each image, [N] int64."""
        return self.logits.argmax(dim=1)

    def probabilities(self) -> Tensor:
        """Return [N, C] float32."""
        return self.logits.double().softmax(dim=1).float()


@torch.inference_mode()
def predict(
    forward: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    after_batch: Callable[[int], None],
    criterion: Criterion = functional.cross_entropy,
) -> Outcome:
    """Return what `forward` says of all batches.

    Args:
        forward: Maps inputs [B, …] to float32 logits [B, C]; its modules are in evaluation mode.
        batches: Inputs and labels [B] int64, on the device.
        after_batch: Told the size of each batch done; may raise to stop.
        criterion: The loss of the outcome.
    """
    logits, labels = [], []
    for inputs, expected in batches:
        logits.append(forward(inputs))
        labels.append(expected)
        after_batch(len(expected))
    return Outcome(torch.cat(logits).cpu(), torch.cat(labels).cpu(), criterion)


def record(
    outcome: Outcome,
    items: Sequence[Item],
    classes: Sequence[str],
    *,
    split: Literal["val", "test"],
    epoch: int,
    attempt: Path,
) -> Evaluated:
    """Write `predictions/SPLIT.npz` below `attempt` and return the event that describes it.

    The file holds `ids` [N] str, `labels` [N] int64 and `probabilities` [N, C] float32; the same
    predictions give the same bytes.
    """
    ids = np.array([item.path for item in items])
    name = f"predictions/{split}.npz"
    probabilities = outcome.probabilities()
    write_atomically(
        attempt / name,
        lambda file: np.savez(
            file,
            ids=ids,
            labels=outcome.labels.numpy(),
            probabilities=probabilities.numpy(),
        ),
    )
    confusion = confusion_matrix(outcome.labels, outcome.predictions(), len(classes))
    by_class = class_figures(confusion, classes)
    macro = macro_figures(by_class)
    return Evaluated(
        time=time.time(),
        split=split,
        epoch=epoch,
        accuracy=outcome.accuracy,
        top5_accuracy=top5_accuracy(probabilities, outcome.labels),
        loss=outcome.loss,
        macro_precision=macro.precision,
        macro_recall=macro.recall,
        macro_f1=macro.f1,
        calibration_error=calibration_error(probabilities, outcome.labels),
        samples=len(items),
        samples_fingerprint=samples_fingerprint(items),
        confusion=confusion.tolist(),
        classes=by_class,
        predictions_file=name,
    )
