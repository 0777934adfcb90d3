from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from trainer.errors import InvalidInput
from trainer.losses import TrainingLoss, class_weights, plain_loss
from trainer.training_sections import LossSpec

CPU = torch.device("cpu")
COUNTS = [3, 1, 8]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(12, 3, generator=generator)
    return logits, torch.tensor([0] * 3 + [1] + [2] * 8)


def test_balanced_weights_are_scikit_learns():
    labels = [index for index, count in enumerate(COUNTS) for _ in range(count)]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert class_weights(LossSpec(class_weights="balanced"), COUNTS) == pytest.approx(expected)
    with_none = class_weights(LossSpec(class_weights="balanced"), [2, 0])
    assert with_none is not None
    assert all(weight > 0 for weight in with_none)


def test_weights_for_another_number_of_classes_are_refused_at_their_field():
    with pytest.raises(InvalidInput) as caught:
        class_weights(LossSpec(class_weights=[1, 2]), COUNTS)
    (problem,) = caught.value.errors
    assert (problem.field, problem.value) == ("loss.class_weights", [1.0, 2.0])
    assert problem.expected == "3 numbers, one for each class of the dataset"


@pytest.mark.parametrize(
    ("spec", "reference"),
    [
        ({}, nn.CrossEntropyLoss()),
        ({"label_smoothing": 0.1}, nn.CrossEntropyLoss(label_smoothing=0.1)),
        (
            {"class_weights": [1, 2, 0.5], "label_smoothing": 0.2},
            nn.CrossEntropyLoss(weight=torch.tensor([1, 2, 0.5]), label_smoothing=0.2),
        ),
        ({"name": "hinge"}, nn.MultiMarginLoss()),
        (
            {"name": "hinge", "class_weights": [1, 2, 0.5]},
            nn.MultiMarginLoss(weight=torch.tensor([1, 2, 0.5])),
        ),
    ],
)
def test_the_training_loss_is_torchs_whole_or_in_parts(batch, spec, reference):
    logits, labels = batch
    loss = TrainingLoss(LossSpec(**spec), COUNTS, CPU)
    whole = loss(logits, labels)
    assert whole == pytest.approx(float(reference(logits, labels)))
    bounds = [(0, 5), (5, 7), (7, 12)]
    parts = [loss(logits[a:b], labels[a:b]) * loss.share(labels[a:b], labels) for a, b in bounds]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)


def test_mixed_labels_add_up_from_parts_too(batch):
    logits, labels = batch
    shares = nn.functional.one_hot(labels, 3).float() * 0.7 + 0.1
    loss = TrainingLoss(LossSpec(class_weights="balanced", label_smoothing=0.1), COUNTS, CPU)
    whole = loss(logits, shares)
    parts = [
        loss(logits[a:b], shares[a:b]) * loss.share(shares[a:b], shares)
        for a, b in [(0, 4), (4, 12)]
    ]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)


def test_the_plain_loss_knows_no_smoothing_and_no_weights(batch):
    logits, labels = batch
    spec = LossSpec(class_weights="balanced", label_smoothing=0.3)
    assert plain_loss(spec)(logits, labels) == nn.functional.cross_entropy(logits, labels)
    hinge = LossSpec(name="hinge", class_weights="balanced")
    assert plain_loss(hinge)(logits, labels) == nn.functional.multi_margin_loss(logits, labels)
