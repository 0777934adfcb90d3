from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from trainer.metrics import (
    calibration_error,
    class_figures,
    confusion_matrix,
    macro_figures,
    top5_accuracy,
)


def test_confusion_and_class_figures_agree_with_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (200,), generator=generator)
    guesses = torch.randint(0, 3, (200,), generator=generator)  # class 3 is never predicted
    confusion = confusion_matrix(labels, guesses, 4)
    assert confusion.tolist() == reference.confusion_matrix(labels, guesses).tolist()
    expected = reference.precision_recall_fscore_support(labels, guesses, zero_division=0)
    figures = class_figures(confusion, ["a", "b", "c", "d"])
    assert [figure.name for figure in figures] == ["a", "b", "c", "d"]
    for index, figure in enumerate(figures):
        ours = (figure.precision, figure.recall, figure.f1, figure.support)
        assert ours == pytest.approx([column[index] for column in expected])


def test_a_class_that_no_image_has_counts_as_zero():
    (figure,) = class_figures(torch.zeros(1, 1, dtype=torch.int64), ["none"])
    assert (figure.precision, figure.recall, figure.f1, figure.support) == (0, 0, 0, 0)


def predictions(samples=300, classes=8, seed=1):
    generator = torch.Generator().manual_seed(seed)
    probabilities = (2 * torch.randn(samples, classes, generator=generator)).softmax(dim=1)
    return probabilities, torch.randint(0, classes, (samples,), generator=generator)


def test_macro_averages_and_top5_agree_with_scikit_learn():
    probabilities, labels = predictions()
    guesses = probabilities.argmax(dim=1)
    figures = class_figures(confusion_matrix(labels, guesses, 8), list("abcdefgh"))
    macro = macro_figures(figures)
    expected = reference.precision_recall_fscore_support(
        labels, guesses, average="macro", zero_division=0
    )
    assert (macro.precision, macro.recall, macro.f1) == pytest.approx(expected[:3])
    assert top5_accuracy(probabilities, labels) == pytest.approx(
        reference.top_k_accuracy_score(labels, probabilities, k=5)
    )
    assert top5_accuracy(probabilities[:, :5], labels) is None


def test_macro_averages_leave_out_classes_without_images():
    labels, guesses = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1])
    figures = class_figures(confusion_matrix(labels, guesses, 3), list("abc"))
    assert macro_figures(figures).recall == pytest.approx(0.75)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy():
    sure = torch.tensor([[0.9, 0.1]] * 10)
    labels = torch.tensor([0] * 6 + [1] * 4)
    assert calibration_error(sure, labels) == pytest.approx(0.3)
    assert calibration_error(torch.eye(2)[labels], labels) == 0
    halves = torch.tensor([[1.0, 0.0], [0.52, 0.48]])  # one too sure by 1, one not enough by 0.48
    assert calibration_error(halves, torch.tensor([1, 0])) == pytest.approx((1 + 0.48) / 2)


def test_the_calibration_bins_are_scikit_learns():
    """Its curve has the same bins for two classes; the confidence is never below one half."""
    from sklearn.calibration import calibration_curve

    probabilities, labels = predictions(classes=2)
    confidence, guesses = probabilities.double().max(dim=1)
    right = (guesses == labels).int()
    accuracy, mean = calibration_curve(right, confidence, n_bins=15)
    counts, _ = np.histogram(confidence, bins=15, range=(0, 1))
    expected = (counts[counts > 0] * abs(accuracy - mean)).sum() / len(labels)
    assert calibration_error(probabilities, labels) == pytest.approx(expected)
