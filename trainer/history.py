"""What a run's validations so far mean: when the rate falls, when to stop, whether it learns.

All of it is a function of the figures of the finished epochs, which a checkpoint holds, so a
resumed run decides as an undisturbed one. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.scheduler_section import DEFAULT_PLATEAU_PATIENCE_EPOCHS, SchedulerSpec
from trainer.spec import ExperimentSpec
from trainer.training_sections import TrainingSpec

PLATEAU_THRESHOLD = 1e-4  # relative, as torch's ReduceLROnPlateau
COLLAPSE_BELOW = 0.1  # of the way from always guessing the largest class to always being right
COLLAPSE_AFTER_SHARE = 1 / 3  # of the run's epochs

Figures = tuple[float, float]
"""Validation accuracy and validation loss of one epoch."""


def is_better(training: TrainingSpec, new: Figures, best: Figures) -> bool:
    """Tell whether an epoch beats the best one before it; the other figure breaks a tie."""
    return _rank(training, new) > _rank(training, best)


def plateau_cuts(schedule: SchedulerSpec, history: Sequence[Figures]) -> int:
    """Return how many times the rate has fallen after these epochs.

    The arithmetic is that of torch's ReduceLROnPlateau with a relative threshold, no cooldown
    and no lowest rate.
    """
    patience = (
        DEFAULT_PLATEAU_PATIENCE_EPOCHS
        if schedule.patience_epochs is None
        else schedule.patience_epochs
    )
    by_accuracy = schedule.watch == "val_accuracy"
    best, waited, cuts = -math.inf if by_accuracy else math.inf, 0, 0
    for accuracy, loss in history:
        if by_accuracy:
            gained, value = accuracy > best * (1 + PLATEAU_THRESHOLD), accuracy
        else:
            gained, value = loss < best * (1 - PLATEAU_THRESHOLD), loss
        best, waited = (value, 0) if gained else (best, waited + 1)
        if waited > patience:
            cuts, waited = cuts + 1, 0
    return cuts


def epochs_without_gain(training: TrainingSpec, history: Sequence[Figures]) -> int:
    """Return how many of the newest epochs brought no gain of more than `min_delta`."""
    delta = training.min_delta or 0.0
    best, waited = -math.inf, 0
    for figures in history:
        value = _rank(training, figures)[0]
        best, waited = (value, 0) if value > best + delta else (best, waited + 1)
    return waited


def stops_early(training: TrainingSpec, history: Sequence[Figures]) -> bool:
    """Tell whether early stopping ends the run after these epochs."""
    patience = training.stop_after_epochs
    return patience is not None and epochs_without_gain(training, history) >= patience


def skill(best_val_accuracy: float, largest_share: float) -> float:
    """Return how far accuracy is between guessing the largest class, 0, and being right, 1."""
    if largest_share >= 1:
        return 1.0  # with one class there is nothing to learn
    return (best_val_accuracy - largest_share) / (1 - largest_share)


def collapsed(
    history: Sequence[Figures], largest_share: float, epochs: int, *, is_last: bool = False
) -> bool:
    """Tell whether the newest epoch is the one after which a run that learns nothing is warned.

    That is the one a third of the run is over with, or an earlier one if the run ends there.

    Args:
        history: Of the epochs so far.
        largest_share: Of the validation images that are of its most frequent class.
        epochs: Of the whole run.
        is_last: Whether the run ends with the newest epoch.
    """
    third = math.ceil(epochs * COLLAPSE_AFTER_SHARE)
    if len(history) != third and not (is_last and len(history) < third):
        return False
    return skill(max(accuracy for accuracy, _ in history), largest_share) < COLLAPSE_BELOW


def likely_causes(spec: ExperimentSpec) -> str:
    """Return what to look at in a run that hardly learns, the likeliest first."""
    causes = []
    if spec.freeze.layers != "none" and spec.freeze.mode == "train":
        causes.append(
            "`freeze.mode: train` lets the batch statistics of frozen layers move away from "
            "their weights; try eval"
        )
    pretrained = spec.model.weights != "none"
    if pretrained and spec.dataset.normalization != "weights":
        causes.append("the weights expect another normalization; try `weights`")
    causes.append(f"the learning rate, {spec.optimizer.lr:g}, may be ten times too high or too low")
    if not pretrained:
        causes.append("a network from scratch may need more epochs or images")
    causes.append("classes may be in another order, or labels wrong, in one of the splits")
    return "Likely causes: " + "; ".join(causes) + "."


def _rank(training: TrainingSpec, figures: Figures) -> tuple[float, float]:
    accuracy, loss = figures
    loss = math.inf if math.isnan(loss) else loss
    return (accuracy, -loss) if training.best_by == "val_accuracy" else (-loss, accuracy)
