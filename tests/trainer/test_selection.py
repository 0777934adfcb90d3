from __future__ import annotations

import pytest

from trainer import catalogue, selection
from trainer.errors import InvalidInput, RunFailure
from trainer.freeze import check_modules
from trainer.freeze_sections import FreezeSpec
from trainer.model import build_network
from trainer.optim import learning_rate
from trainer.parsing import parse_spec, parse_spec_text
from trainer.spec import spec_yaml
from trainer.stages import span_at, stage_at

RESNET = catalogue.modules("resnet18")


def spec_with(freeze=None, architecture="resnet18", **sections):
    model = {"architecture": architecture, **sections.pop("model", {})}
    document = {"dataset": {"name": "x", **sections.pop("dataset", {})}, "model": model}
    return parse_spec({**document, "freeze": freeze or {}, **sections})


def refusal(freeze=None, **sections):
    with pytest.raises(InvalidInput) as refused:
        spec_with(freeze, **sections)
    (error,) = refused.value.errors
    return error


def frozen(stage=0, **fields):
    return selection.frozen_modules(FreezeSpec(**fields), ["", *RESNET], stage)


def roots(names):
    return {name for name in names if name.rpartition(".")[0] not in names}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"layers": "none"}, set()),
        (
            {"layers": "first_children", "first_children": 5},
            {"conv1", "bn1", "relu", "maxpool", "layer1"},
        ),
        ({"layers": "patterns", "patterns": ["layer[12]", "bn1"]}, {"layer1", "layer2", "bn1"}),
        ({"layers": "patterns", "patterns": ["layer4*bn?"]}, {
            *("layer4.0.bn1", "layer4.0.bn2", "layer4.1.bn1", "layer4.1.bn2")
        }),
    ],
)  # fmt: skip
def test_modules_are_frozen_with_all_that_is_in_them(fields, expected):
    found = frozen(**fields)
    assert roots(found) == expected
    within = {name for name in RESNET if any(name.startswith(f"{one}.") for one in expected)}
    assert found == expected | within


def test_up_to_takes_everything_before_in_the_networks_order():
    found = frozen(layers="up_to", up_to="layer2.0")
    assert {"conv1", "layer1.1.bn2", "layer2.0.downsample.1"} <= found
    assert not {name for name in found if name.startswith(("layer2.1", "layer3", "fc"))}


def test_stages_unfreeze_one_after_the_other():
    schedule = [{"epoch": 2, "unfreeze": ["layer4", "avgpool"]}, {"epoch": 5, "unfreeze": "all"}]
    fields = {"layers": "backbone", "schedule": schedule}
    assert "layer4.0.conv1" in frozen(0, **fields)
    assert "layer4.0.conv1" not in frozen(1, **fields)
    assert "layer3.0.conv1" in frozen(1, **fields)
    assert not frozen(2, **fields)


@pytest.mark.parametrize(
    ("freeze", "field", "expected", "remedy"),
    [
        (
            {"layers": "first_children", "first_children": 11},
            "freeze.first_children",
            "at most 10 for `resnet18`",
            "conv1, bn1, relu, maxpool, layer1",
        ),
        ({"layers": "up_to", "up_to": "layer22"}, "freeze.up_to", "the name of", "`layer2`"),
        ({"layers": "up_to"}, "freeze.up_to", "given with", "no default"),
        (
            {"layers": "patterns", "patterns": ["conv1", "block*"]},
            "freeze.patterns.1",
            "the name of a module",
            "",
        ),
        ({"up_to": "layer2"}, "freeze.up_to", "left out", "freeze.layers: up_to"),
        (
            {"schedule": [{"epoch": 3, "unfreeze": "all"}]},
            "freeze.schedule",
            "left out with `freeze.layers: none`",
            "Nothing is frozen",
        ),
        (
            {"layers": "backbone", "schedule": [{"epoch": 11, "unfreeze": "all"}]},
            "freeze.schedule.0.epoch",
            "at most the run's 10 epochs",
            "train longer",
        ),
        (
            {
                "layers": "backbone",
                "schedule": [{"epoch": 3, "unfreeze": "all"}, {"epoch": 5, "unfreeze": "fc"}],
            },
            "freeze.schedule.1.unfreeze",
            "nothing is frozen any more",
            "Remove",
        ),
        (
            {"layers": "up_to", "up_to": "bn1", "schedule": [{"epoch": 3, "unfreeze": "layer4"}]},
            "freeze.schedule.0.unfreeze",
            "still frozen",
            "trained already",
        ),
        (
            {"layers": "backbone", "schedule": [{"epoch": 3, "unfreeze": "layer5"}]},
            "freeze.schedule.0.unfreeze",
            "the name of a module",
            "layer",
        ),
        (
            {
                "layers": "backbone",
                "schedule": [{"epoch": 4, "unfreeze": "layer4"}, {"epoch": 4, "unfreeze": "all"}],
            },
            "freeze.schedule.1.epoch",
            "above 4",
            "order",
        ),
    ],
)
def test_what_cannot_be_frozen_or_unfrozen_is_refused(freeze, field, expected, remedy):
    error = refusal(freeze)
    assert error.field == field
    assert expected in error.expected
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("architecture", "model", "size", "field"),
    [
        ("inception_v3", {}, 224, "dataset.input_size_px"),
        ("inception_v3", {"auxiliary_loss_weight": 0}, 64, "dataset.input_size_px"),
        ("alexnet", {}, 48, "dataset.input_size_px"),
        ("resnet18", {"auxiliary_loss_weight": 0.3}, None, "model.auxiliary_loss_weight"),
        ("resnet18", {"head": {"activation": "tanh"}}, None, "model.head.activation"),
        ("vgg16", {"head": {"tap": "classifier.9"}}, None, "model.head.tap"),
        (
            "googlenet",
            {"auxiliary_loss_weight": 0.3, "head": {"tap": "fc"}},
            None,
            "model.auxiliary_loss_weight",
        ),
    ],
)
def test_what_the_architecture_cannot_do_is_refused(architecture, model, size, field):
    error = refusal(architecture=architecture, model=model, dataset={"input_size_px": size})
    assert error.field == field


def test_a_small_input_is_refused_with_the_ways_out():
    error = refusal(architecture="inception_v3", dataset={"input_size_px": 128})
    assert error.expected == "at least 299 for `inception_v3`"
    assert "auxiliary_loss_weight: 0" in error.remedy


def test_auxiliary_losses_weigh_what_the_tutorial_gives_them():
    assert spec_with(architecture="inception_v3").model.auxiliary_weight == 0.4
    given = {"auxiliary_loss_weight": 0}
    assert spec_with(architecture="inception_v3", model=given).model.auxiliary_weight == 0
    assert spec_with(architecture="resnet18").model.auxiliary_weight == 0


def test_a_schedule_may_be_typed_as_yaml_and_is_written_as_yaml():
    text = "[{epoch: 6, unfreeze: layer4, lr: 0.01}, {epoch: 8, unfreeze: all}]"
    spec = spec_with({"layers": "backbone", "schedule": text})
    assert [(stage.epoch, stage.unfreeze) for stage in spec.freeze.schedule] == [
        (6, ("layer4",)),
        (8, "all"),
    ]
    assert parse_spec_text(spec_yaml(spec)) == spec
    assert spec.display_name() == "resnet18 frozen, then unfrozen"


STAGED = {
    "freeze": {"layers": "backbone", "schedule": [{"epoch": 31, "unfreeze": "all"}]},
    "scheduler": {"name": "step"},
    "training": {"epochs": 60},
}


def staged(**stage):
    schedule = [{"epoch": 31, "unfreeze": "all", **stage}]
    return spec_with(**{**STAGED, "freeze": {"layers": "backbone", "schedule": schedule}})


def test_a_schedule_carried_over_leaves_a_ten_thousandth_of_the_rate():
    spec = staged()
    assert learning_rate(spec, 31) == pytest.approx(1e-4 * spec.optimizer.lr)
    assert [stage_at(spec, epoch) for epoch in (1, 30, 31, 60)] == [0, 0, 1, 1]


def test_a_stage_restarts_the_schedule_or_sets_its_base():
    assert learning_rate(staged(scheduler="restart"), 31) == pytest.approx(1e-3)
    assert learning_rate(staged(scheduler="restart"), 38) == pytest.approx(1e-4)
    assert learning_rate(staged(lr=0.5), 31) == pytest.approx(0.5e-4)
    assert learning_rate(staged(lr=0.5, scheduler="restart"), 31) == pytest.approx(0.5)
    assert learning_rate(staged(lr=0.5), 30) == pytest.approx(1e-7)


def test_a_cosine_reaches_zero_at_each_restart_and_at_the_end():
    spec = staged(scheduler="restart")
    cosine = spec.scheduler.model_copy(update={"name": "cosine"})
    spec = spec.model_copy(update={"scheduler": cosine})
    assert (span_at(spec, 30).epochs, span_at(spec, 31).first_epoch) == (30, 31)
    assert learning_rate(spec, 30) < 0.01 * spec.optimizer.lr
    assert learning_rate(spec, 31) == spec.optimizer.lr
    assert learning_rate(spec, 60) == learning_rate(spec, 30)


def test_a_schedule_that_a_restart_cuts_short_is_refused():
    stages = [{"epoch": 4, "unfreeze": "all", "scheduler": "restart"}]
    error = refusal({"layers": "backbone", "schedule": stages}, scheduler={"warmup_epochs": 3})
    assert "warmup_epochs" in error.field


def test_what_the_catalogue_does_not_know_the_trainer_refuses(monkeypatch):
    monkeypatch.setattr(catalogue, "modules", lambda _name: None)
    fields = {"layers": "patterns", "patterns": ["layer9"]}
    spec = spec_with(fields, architecture="resnet18", model={"weights": "none"})
    with pytest.raises(RunFailure, match=r"freeze.patterns.0.*a module of `resnet18`"):
        check_modules(build_network(spec, 3), spec)
