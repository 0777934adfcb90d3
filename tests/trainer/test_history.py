from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from trainer.history import (
    collapsed,
    epochs_without_gain,
    is_better,
    likely_causes,
    plateau_cuts,
    skill,
    stops_early,
)
from trainer.parsing import parse_spec
from trainer.scheduler_section import SchedulerSpec
from trainer.training_sections import TrainingSpec

# Loss falls, stays, gains less than the threshold, falls, rises.
LOSSES = [2.0, 1.5, 1.5, 1.49999, 1.6, 1.55, 1.2, 1.3, 1.4, 1.25, 1.21, 1.2, 1.3, 1.1, 1.2]


@pytest.mark.parametrize("patience", [0, 1, 2, 5])
@pytest.mark.parametrize("watch", ["val_loss", "val_accuracy"])
def test_the_plateau_cuts_when_torchs_does(patience, watch):
    schedule = SchedulerSpec(name="plateau", patience_epochs=patience, gamma=0.5, watch=watch)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        "min" if watch == "val_loss" else "max",
        factor=0.5,
        patience=patience,
    )
    history = [(1 / loss, loss) for loss in LOSSES]
    for done, (accuracy, loss) in enumerate(history, start=1):
        reference.step(loss if watch == "val_loss" else accuracy)
        ours = 0.5 ** plateau_cuts(schedule, history[:done])
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"])
    assert plateau_cuts(schedule, history) > 0 or patience == 5


def test_the_best_epoch_is_by_the_figure_asked_for_and_ties_go_to_the_other():
    by_accuracy, by_loss = TrainingSpec(), TrainingSpec(best_by="val_loss")
    assert is_better(by_accuracy, (0.8, 2.0), (0.7, 1.0))
    assert not is_better(by_loss, (0.8, 2.0), (0.7, 1.0))
    assert is_better(by_accuracy, (0.8, 0.9), (0.8, 1.0))
    assert is_better(by_loss, (0.8, 1.0), (0.7, 1.0))
    assert not is_better(by_accuracy, (0.8, 1.0), (0.8, 1.0))
    # The first epoch is the best so far, even if its loss is not a number.
    assert is_better(by_loss, (0.5, math.nan), (-1.0, math.inf))


def test_epochs_without_gain_count_from_the_last_that_gained_enough():
    training = TrainingSpec(stop_after_epochs=2, min_delta=0.02)
    accuracies = [0.5, 0.6, 0.61, 0.615, 0.63]
    history = [(accuracy, 1.0) for accuracy in accuracies]
    counts = [epochs_without_gain(training, history[:n]) for n in range(1, 6)]
    assert counts == [0, 0, 1, 2, 0]
    assert [stops_early(training, history[:n]) for n in range(1, 6)] == [
        False,
        False,
        False,
        True,
        False,
    ]
    assert not stops_early(TrainingSpec(), [(0.5, 1.0)] * 50)


def test_the_second_study_at_015_on_nine_classes_is_called_collapsed():
    share = 1 / 9  # of 367 validation images in nine classes of about the same size
    assert skill(0.15, share) == pytest.approx(0.04375)
    history = [(0.11, 2.2), (0.15, 2.2), (0.13, 2.2)]
    assert collapsed(history, share, epochs=9)
    assert not collapsed([*history[:2], (0.75, 0.8)], share, epochs=9)
    # An unbalanced split: guessing the largest class is no skill, however accurate.
    assert collapsed([(0.72, 0.6)], 0.7, epochs=3)
    assert not collapsed([(0.15, 2.2)], 0.01, epochs=3)


def test_a_collapse_is_told_once_after_a_third_or_when_the_run_ends_before():
    history = [(0.1, 2.3)] * 10
    told = [n for n in range(1, 11) if collapsed(history[:n], 0.1, epochs=10)]
    assert told == [4]
    assert collapsed(history[:2], 0.1, epochs=10, is_last=True)
    assert not collapsed(history[:6], 0.1, epochs=10, is_last=True)
    assert not collapsed(history[:4], 1.0, epochs=10)  # one class: nothing to learn


def test_the_likely_causes_are_those_the_spec_leaves_open():
    spec = {
        "dataset": {"name": "x", "normalization": "half"},
        "freeze": {"layers": "backbone", "mode": "train"},
    }
    causes = likely_causes(parse_spec(spec))
    assert causes.index("freeze.mode") < causes.index("normalization") < causes.index("rate")
    scratch = likely_causes(parse_spec({"dataset": {"name": "x"}, "model": {"weights": "none"}}))
    assert "freeze.mode" not in scratch
    assert "normalization" not in scratch
    assert "from scratch" in scratch
