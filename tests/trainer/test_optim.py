from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as torchs

from trainer.errors import InvalidInput
from trainer.optim import build_optimizer, learning_rate, set_learning_rate
from trainer.optimizer_section import RateGroup
from trainer.parsing import parse_spec


def spec_with(scheduler, epochs=10, **optimizer):
    return parse_spec(
        {
            "dataset": {"name": "x"},
            "scheduler": scheduler,
            "optimizer": {"lr": 0.1, **optimizer},
            "training": {"epochs": epochs},
        }
    )


@pytest.mark.parametrize(
    ("scheduler", "build"),
    [
        ({"name": "none"}, lambda o: torchs.ConstantLR(o, 1.0)),
        ({"name": "step"}, lambda o: torchs.StepLR(o, 7, 0.1)),
        (
            {"name": "step", "step_epochs": 3, "gamma": 0.5},
            lambda o: torchs.StepLR(o, 3, 0.5),
        ),
        ({"name": "cosine"}, lambda o: torchs.CosineAnnealingLR(o, 10)),
        (
            {"name": "cosine", "t_max_epochs": 200},
            lambda o: torchs.CosineAnnealingLR(o, 200),
        ),
        (
            {"name": "multi_step", "milestones": [2, 7], "gamma": 0.3},
            lambda o: torchs.MultiStepLR(o, [2, 7], 0.3),
        ),
        ({"name": "exponential"}, lambda o: torchs.ExponentialLR(o, 0.95)),
        ({"name": "exponential", "gamma": 0.7}, lambda o: torchs.ExponentialLR(o, 0.7)),
        (
            {"name": "cosine_restarts", "t_0_epochs": 3},
            lambda o: torchs.CosineAnnealingWarmRestarts(o, 3),
        ),
        (
            {"name": "cosine_restarts", "t_0_epochs": 2, "t_mult": 2},
            lambda o: torchs.CosineAnnealingWarmRestarts(o, 2, 2),
        ),
    ],
)
def test_the_rate_of_each_epoch_is_torchs(scheduler, build):
    spec = spec_with(scheduler)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = build(optimizer)
    for epoch in range(1, 11):
        assert learning_rate(spec, epoch) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("share", [None, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(("epochs", "batches"), [(3, 7), (1, 20), (5, 1)])
def test_the_rate_of_each_step_of_one_cycle_is_torchs(share, epochs, batches):
    scheduler = {"name": "one_cycle", "max_lr": 0.8} | ({"rise_share": share} if share else {})
    spec = spec_with(scheduler, epochs=epochs)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = torchs.OneCycleLR(
        optimizer,
        0.8,
        total_steps=epochs * batches,
        pct_start=share or 0.3,
        div_factor=8,
        cycle_momentum=False,
    )
    for epoch in range(1, epochs + 1):
        for batch in range(batches):
            ours = learning_rate(spec, epoch, batch, batches)
            theirs = schedule.get_last_lr()[0]
            if share != 0.1 or epochs != 5:  # torch's first step lies past so short a rise
                assert ours == pytest.approx(theirs)
            assert 0 < ours <= 0.8 * (1 + 1e-9)
            optimizer.step()
            if schedule.last_epoch < epochs * batches - 1:
                schedule.step()


@pytest.mark.parametrize(
    "scheduler",
    [
        {"name": "none"},
        {"name": "cosine"},
        {"name": "multi_step", "milestones": [1]},
        {"name": "one_cycle", "max_lr": 0.5},
    ],
)
def test_a_warm_up_rises_in_a_line_to_where_the_schedule_starts(scheduler):
    warm = spec_with({**scheduler, "warmup_epochs": 2}, epochs=6)
    alone = spec_with(scheduler, epochs=4)
    rises = [learning_rate(warm, epoch, batch, 5) for epoch in (1, 2) for batch in range(5)]
    assert rises == pytest.approx([0.1 * (step + 1) / 10 for step in range(10)])
    after = [learning_rate(warm, epoch, batch, 5) for epoch in range(3, 7) for batch in range(5)]
    before = [learning_rate(alone, epoch, batch, 5) for epoch in range(1, 5) for batch in range(5)]
    assert after == pytest.approx(before)


def test_the_plateau_falls_after_bad_epochs_and_counts_none_of_the_warm_up():
    scheduler = {"name": "plateau", "patience_epochs": 1, "gamma": 0.5, "warmup_epochs": 2}
    spec = spec_with(scheduler)
    history = [(0.1, 1.0)] * 9
    rates = [learning_rate(spec, epoch, 0, 1, history[: epoch - 1]) for epoch in range(3, 11)]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125])


def test_a_cosine_that_has_reached_zero_stays_there():
    rates = [learning_rate(spec_with({"name": "cosine", "t_max_epochs": 4}), e) for e in (5, 6, 9)]
    assert all(math.isclose(rate, 0, abs_tol=1e-12) for rate in rates)


@pytest.mark.parametrize(
    ("wanted", "kind", "settings"),
    [
        ({"name": "sgd"}, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0}),
        ({"name": "sgd", "momentum": 0.0}, torch.optim.SGD, {"momentum": 0.0}),
        ({"name": "adam", "weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
        ({"name": "adamw", "lr": 0.2}, torch.optim.AdamW, {"lr": 0.2, "eps": 1e-8}),
        ({"name": "adamw", "eps": 1e-3}, torch.optim.AdamW, {"eps": 1e-3}),
        ({"name": "sgd", "nesterov": True}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ({"name": "rmsprop"}, torch.optim.RMSprop, {"alpha": 0.99, "momentum": 0, "eps": 1e-8}),
        (
            {"name": "rmsprop", "alpha": 0.9, "momentum": 0.9, "eps": 1.0},
            torch.optim.RMSprop,
            {"alpha": 0.9, "momentum": 0.9, "eps": 1.0},
        ),
    ],
)
def test_the_optimizer_is_the_specs(wanted, kind, settings):
    spec = spec_with({"name": "none"}, **wanted)
    built = build_optimizer(spec.optimizer, nn.Linear(1, 1))
    assert type(built) is kind
    assert {name: built.defaults[name] for name in settings} == settings


def test_norms_and_biases_can_be_left_out_of_the_decay():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    module[0].requires_grad_(requires_grad=False)
    wanted = {"name": "adamw", "weight_decay": 0.1, "weight_decay_on": "weights"}
    built = build_optimizer(spec_with({"name": "none"}, **wanted).optimizer, module)
    weights, rest = built.param_groups
    assert weights["params"] == [module[3].weight]
    assert weights["weight_decay"] == 0.1
    assert [one.shape for one in rest["params"]] == [(4,), (4,), (2,)]
    assert rest["weight_decay"] == 0


def grouped(**changes):
    return parse_spec(
        {
            "dataset": {"name": "x"},
            "model": {"architecture": "resnet18", "weights": "none"},
            "optimizer": {"lr": 0.1, **changes},
        }
    )


def test_modules_have_rates_of_their_own_that_every_schedule_multiplies():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    rates = [RateGroup(modules=["1"], lr=0.02), RateGroup(modules=["[01]"], lr=0.001)]
    wanted = {"name": "adamw", "weight_decay": 0.1, "weight_decay_on": "weights"}
    spec = spec_with({"name": "none"}, **wanted)
    built = build_optimizer(spec.optimizer, module, rates)
    set_learning_rate(built, rate=0.05, base=0.1)
    found = {
        id(one): (group["lr"], group["weight_decay"])
        for group in built.param_groups
        for one in group["params"]
    }
    assert found == {
        id(module[0].weight): (0.0005, 0.1),
        id(module[0].bias): (0.0005, 0),
        id(module[1].weight): (0.01, 0),
        id(module[1].bias): (0.01, 0),
        id(module[3].weight): (0.05, 0.1),
        id(module[3].bias): (0.05, 0),
    }


@pytest.mark.parametrize(
    ("groups", "field", "said"),
    [
        ([{"modules": ["layer5"], "lr": 0.1}], "0.modules.0", "`layer4`"),
        ([{"modules": ["fc", "lay?r9*"], "lr": 0.1}], "0.modules.1", ""),
        ([{"modules": [], "lr": 0.1}], "0.modules", ""),
        ([{"modules": ["fc"], "lr": 0}], "0.lr", ""),
        ([{"modules": ["fc"]}], "0.lr", ""),
        (
            [{"modules": ["layer*"], "lr": 0.1}, {"modules": ["layer4"], "lr": 0.2}],
            "1.modules",
            "belongs to the first",
        ),
    ],
)
def test_rates_of_modules_are_refused_at_what_is_wrong(groups, field, said):
    with pytest.raises(InvalidInput) as caught:
        grouped(groups=groups)
    (problem,) = caught.value.errors
    assert problem.field == f"optimizer.groups.{field}"
    assert said in problem.remedy


def test_rates_of_modules_may_come_as_yaml_text():
    text = "[{modules: layer4, lr: 0.01}]"
    assert grouped(groups=text).optimizer.groups == (RateGroup(modules=("layer4",), lr=0.01),)
    with pytest.raises(InvalidInput, match="a YAML list of groups"):
        grouped(groups="[{modules: ")


@pytest.mark.parametrize(
    ("section", "given", "field"),
    [
        ("optimizer", {"name": "adam", "momentum": 0.9}, "optimizer.momentum"),
        ("optimizer", {"name": "adam", "nesterov": True}, "optimizer.nesterov"),
        ("optimizer", {"momentum": 0, "nesterov": True}, "optimizer.nesterov"),
        ("optimizer", {"alpha": 0.9}, "optimizer.alpha"),
        ("optimizer", {"eps": 0.1}, "optimizer.eps"),
        ("optimizer", {"weight_decay_on": "weights"}, "optimizer.weight_decay_on"),
        ("scheduler", {"name": "cosine", "gamma": 0.5}, "scheduler.gamma"),
        ("scheduler", {"name": "step", "milestones": [3]}, "scheduler.milestones"),
        ("scheduler", {"name": "multi_step"}, "scheduler.milestones"),
        ("scheduler", {"name": "multi_step", "milestones": [3, 3]}, "scheduler.milestones"),
        ("scheduler", {"name": "multi_step", "milestones": [0, 3]}, "scheduler.milestones"),
        ("scheduler", {"name": "multi_step", "milestones": [5, 10]}, "scheduler.milestones"),
        ("scheduler", {"name": "cosine_restarts"}, "scheduler.t_0_epochs"),
        ("scheduler", {"name": "cosine_restarts", "t_0_epochs": 11}, "scheduler.t_0_epochs"),
        ("scheduler", {"name": "one_cycle"}, "scheduler.max_lr"),
        ("scheduler", {"name": "one_cycle", "max_lr": 1e-4}, "scheduler.max_lr"),
        ("scheduler", {"name": "plateau", "patience_epochs": 8}, "scheduler.patience_epochs"),
        ("scheduler", {"watch": "val_loss"}, "scheduler.watch"),
        ("scheduler", {"warmup_epochs": 10}, "scheduler.warmup_epochs"),
        ("loss", {"name": "hinge", "label_smoothing": 0.1}, "loss.label_smoothing"),
        ("loss", {"class_weights": [1, -1]}, "loss.class_weights"),
        ("loss", {"class_weights": "equal"}, "loss.class_weights"),
        ("loss", {"class_weights": [1, float("nan")]}, "loss.class_weights"),
        ("training", {"min_delta": 0.1}, "training.min_delta"),
        ("training", {"stop_after_epochs": 10}, "training.stop_after_epochs"),
        ("training", {"precision": "fp16", "device": "cpu"}, "training.precision"),
        ("training", {"ema_decay": 1.0}, "training.ema_decay"),
    ],
)
def test_what_cannot_work_together_is_refused_at_its_field(section, given, field):
    with pytest.raises(InvalidInput) as refused:
        parse_spec({"dataset": {"name": "x"}, section: given})
    (error,) = refused.value.errors
    assert error.field == field
    assert error.expected
