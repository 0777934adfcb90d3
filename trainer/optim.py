"""Optimizers, and the learning rate as a function of the spec, the epoch and the step alone.

What the plateau schedule has to know of earlier epochs comes in as their figures, so that a
resumed run needs no scheduler's state.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from trainer.history import Figures, plateau_cuts
from trainer.optimizer_section import OptimizerSpec, RateGroup
from trainer.scheduler_section import SchedulerSpec
from trainer.selection import is_within
from trainer.spec import ExperimentSpec
from trainer.stages import span_at

DEFAULT_MOMENTUM = 0.9  # of SGD
DEFAULT_ALPHA = 0.99  # torch's, as the epsilon
DEFAULT_EPS = 1e-8
DEFAULT_STEP_EPOCHS = 7  # with the factor below, the schedule of PyTorch's tutorial
DEFAULT_GAMMA = 0.1
DEFAULT_EXPONENTIAL_GAMMA = 0.95
DEFAULT_RISE_SHARE = 0.3  # torch's OneCycleLR, as the divisor
ONE_CYCLE_END_DIVISOR = 1e4
OWN_RATE = "own_rate"
"""Key of a group of the optimizer: what the schedule multiplies there, None for the base rate."""


def build_optimizer(
    spec: OptimizerSpec, module: nn.Module, rates: Sequence[RateGroup] = ()
) -> Optimizer:
    """Return the spec's optimizer over those of the module's parameters that are trained.

    Args:
        spec: Its own groups are left to `rates`, as stages of unfreezing replace them.
        module: The whole network.
        rates: Learning rates by module.
    """
    groups = _groups(spec, module, rates)
    eps = DEFAULT_EPS if spec.eps is None else spec.eps
    match spec.name:
        case "sgd":
            momentum = DEFAULT_MOMENTUM if spec.momentum is None else spec.momentum
            return SGD(
                groups,
                lr=spec.lr,
                momentum=momentum,
                nesterov=spec.nesterov,
                weight_decay=spec.weight_decay,
            )
        case "adam":
            return Adam(groups, lr=spec.lr, eps=eps, weight_decay=spec.weight_decay)
        case "adamw":
            return AdamW(groups, lr=spec.lr, eps=eps, weight_decay=spec.weight_decay)
        case "rmsprop":
            return RMSprop(
                groups,
                lr=spec.lr,
                alpha=DEFAULT_ALPHA if spec.alpha is None else spec.alpha,
                eps=eps,
                momentum=spec.momentum or 0.0,
                weight_decay=spec.weight_decay,
            )


def take_in_unfrozen(
    optimizer: Optimizer, spec: OptimizerSpec, module: nn.Module, rates: Sequence[RateGroup]
) -> None:
    """Give an optimizer the parameters that are trained now; what it knows of others stays.

    The order is that of an optimizer built afresh, so that its stored state fits either.
    """
    optimizer.param_groups = build_optimizer(spec, module, rates).param_groups


def learning_rate(
    spec: ExperimentSpec,
    epoch: int,
    batch: int = 0,
    batches: int = 1,
    history: Sequence[Figures] = (),
) -> float:
    """Return the learning rate of one step.

    Args:
        spec: Its optimizer, schedule, number of epochs and stages of unfreezing decide.
        epoch: From 1.
        batch: Of the epoch, from 0.
        batches: Steps of every epoch.
        history: What the validations of the epochs before said.
    """
    schedule, span = spec.scheduler, span_at(spec, epoch)
    warm, base = schedule.warmup_epochs, span.lr
    epochs = span.epochs - warm
    epoch -= span.first_epoch - 1
    history = history[span.first_epoch - 1 :]
    if epoch <= warm:
        done = ((epoch - 1) * batches + batch + 1) / (warm * batches)
        return _scheduled(schedule, base, 0, 0, epochs * batches, epochs, ()) * done
    past = epoch - 1 - warm
    step = past * batches + batch
    return _scheduled(schedule, base, past, step, epochs * batches, epochs, history[warm:])


def set_learning_rate(optimizer: Optimizer, rate: float, base: float) -> None:
    """Give every group its learning rate: one of its own changes by the factor of the others'.

    Args:
        optimizer: Built here.
        rate: Of everything without a rate of its own.
        base: What the schedule has made `rate` of.
    """
    for group in optimizer.param_groups:
        own = group[OWN_RATE]
        group["lr"] = rate if own is None else rate / base * own


def _scheduled(
    schedule: SchedulerSpec,
    base: float,
    past: int,
    step: int,
    steps: int,
    epochs: int,
    history: Sequence[Figures],
) -> float:
    """Return the rate after `past` epochs and `step` of all `steps` of a schedule."""
    gamma = DEFAULT_GAMMA if schedule.gamma is None else schedule.gamma
    match schedule.name:
        case "none":
            return base
        case "step":
            return base * float(gamma ** (past // (schedule.step_epochs or DEFAULT_STEP_EPOCHS)))
        case "multi_step":
            return base * float(gamma ** bisect_right(schedule.milestones, past))
        case "exponential":
            factor = DEFAULT_EXPONENTIAL_GAMMA if schedule.gamma is None else schedule.gamma
            return base * float(factor**past)
        case "cosine":
            done = min(past / (schedule.t_max_epochs or epochs), 1.0)
            return base * 0.5 * (1 + math.cos(math.pi * done))
        case "cosine_restarts":
            period = schedule.t_0_epochs or epochs
            while past >= period:
                past -= period
                period *= schedule.t_mult or 1
            return base * 0.5 * (1 + math.cos(math.pi * past / period))
        case "one_cycle":
            return _one_cycle(schedule, base, step, steps)
        case "plateau":
            return base * float(gamma ** plateau_cuts(schedule, history))


def _one_cycle(schedule: SchedulerSpec, base: float, step: int, steps: int) -> float:
    """Return the rate of step `step` of `steps`, both flanks being half cosines."""
    share = DEFAULT_RISE_SHARE if schedule.rise_share is None else schedule.rise_share
    highest, lowest = schedule.max_lr or base, base / ONE_CYCLE_END_DIVISOR
    top, end = share * steps - 1, steps - 1
    if step <= top:
        return _between(base, highest, step / top if top > 0 else 1.0)
    top = max(top, 0.0)
    return _between(highest, lowest, (step - top) / (end - top) if end > top else 1.0)


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


def _groups(
    spec: OptimizerSpec, module: nn.Module, rates: Sequence[RateGroup]
) -> list[dict[str, object]]:
    """Return the trained parameters by learning rate, those that do not decay by themselves."""
    found: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            owner = name.rpartition(".")[0]
            place = next((i for i, one in enumerate(rates) if is_within(owner, one.modules)), -1)
            spared = spec.weight_decay_on == "weights" and parameter.ndim <= 1
            found.setdefault((place, spared), []).append(parameter)
    return [
        {
            "params": found[place, spared],
            OWN_RATE: None if place < 0 else rates[place].lr,
            **({"weight_decay": 0.0} if spared else {}),
        }
        for place, spared in sorted(found)
    ]
