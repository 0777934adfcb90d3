"""What predictions are worth: confusion matrix, figures per class and their means, calibration.

Our own few lines, compared with scikit-learn in the tests: importing it would cost each trainer
process two seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.events import ClassFigures

CALIBRATION_BINS = 15  # Guo et al., "On Calibration of Modern Neural Networks" (2017)
TOP = 5


@dataclass(frozen=True)
class MacroFigures:
    """Means over the classes that have images, each class counting the same."""

    precision: float
    recall: float
    f1: float


def confusion_matrix(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """Return counts [C, C] int64; the row is the true class, the column the predicted one.

    Args:
        labels: [N] int64, each in [0, C).
        predictions: [N] int64, each in [0, C).
        classes: C.
    """
    cells = torch.bincount(labels * classes + predictions, minlength=classes * classes)
    return cells.reshape(classes, classes)


def class_figures(confusion: Tensor, names: Sequence[str]) -> list[ClassFigures]:
    """Return precision, recall, F1 and support of each class; 0 where one is not defined.

    Args:
        confusion: [C, C] counts as `confusion_matrix` returns them.
        names: The C class names.
    """
    hits = confusion.diagonal().tolist()
    support = confusion.sum(dim=1).tolist()
    predicted = confusion.sum(dim=0).tolist()
    return [
        ClassFigures(
            name=name,
            precision=_ratio(hits[index], predicted[index]),
            recall=_ratio(hits[index], support[index]),
            f1=_ratio(2 * hits[index], support[index] + predicted[index]),
            support=support[index],
        )
        for index, name in enumerate(names)
    ]


def macro_figures(classes: Sequence[ClassFigures]) -> MacroFigures:
    """Return the unweighted means of the classes' figures, over those that have images."""
    present = [figures for figures in classes if figures.support] or list(classes)
    count = max(len(present), 1)
    return MacroFigures(
        precision=sum(figures.precision for figures in present) / count,
        recall=sum(figures.recall for figures in present) / count,
        f1=sum(figures.f1 for figures in present) / count,
    )


def top5_accuracy(probabilities: Tensor, labels: Tensor) -> float | None:
    """Return the share of images whose class is among the five most likely, in [0, 1].

    None where there are five classes or fewer: it would always be 1.

    Args:
        probabilities: [N, C] float.
        labels: [N] int64, each in [0, C).
    """
    if probabilities.shape[1] <= TOP:
        return None
    top = probabilities.topk(TOP, dim=1).indices
    return int((top == labels[:, None]).sum()) / len(labels)


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """Return the expected calibration error, in [0, 1].

    Images are put into bins of equal width by the probability of their most likely class; the
    result is the mean over all images of |accuracy - mean probability| of their bin.

    Args:
        probabilities: [N, C] float, each row adding up to 1.
        labels: [N] int64, each in [0, C).
        bins: Bin number k of B holds the probabilities in (k/B, (k+1)/B].
    """
    confidence, predicted = probabilities.double().max(dim=1)
    right = (predicted == labels).double()
    place = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, place, right - confidence)
    return float(gaps.abs().sum()) / len(labels)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
