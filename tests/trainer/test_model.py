from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainer.errors import RunFailure
from trainer.freeze import freeze, parameter_counts, set_training_mode
from trainer.losses import TrainingLoss
from trainer.model import build_network
from trainer.optim import build_optimizer
from trainer.parsing import parse_spec
from trainer.resolve import Choices
from trainer.sources import Forward
from trainer.stepper import Stepper
from trainer.training_sections import LossSpec


def spec_for(architecture, size=None, **sections):
    return parse_spec(
        {
            "dataset": {"name": "pictures", "input_size_px": size},
            "model": {"architecture": architecture, "weights": "none", **sections.pop("model", {})},
            **sections,
        }
    )


def test_a_head_without_hidden_layers_is_one_linear_layer():
    network = build_network(spec_for("resnet18", 32), classes=5)
    assert isinstance(network.module.fc, nn.Linear)
    assert (network.module.fc.in_features, network.module.fc.out_features) == (512, 5)
    assert network.head_names == ("fc",)
    assert network.head_is_last


def test_where_layers_follow_the_head_it_cannot_run_alone():
    assert not build_network(spec_for("squeezenet1_1", 64), classes=3).head_is_last


def test_first_weights_depend_on_the_seed_alone():
    def first(seed):
        torch.rand(1)  # whatever happened before
        spec = spec_for("tuneboard/small_cnn", training={"seed": seed})
        return build_network(spec, 3).module.state_dict()

    one, same, other = first(1), first(1), first(2)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["fc.weight"], other["fc.weight"])
    assert not torch.equal(one["features.0.weight"], other["features.0.weight"])


def test_an_impossible_input_size_is_refused_with_the_usual_one():
    with pytest.raises(RunFailure, match="refused images of 40 px") as refused:
        build_network(spec_for("timm/levit_128s", 40), classes=3)
    assert "dataset.input_size_px: 224" in refused.value.remedy


def test_a_vision_transformer_is_built_for_another_size():
    network = build_network(spec_for("vit_b_32", 64), classes=3)
    assert network.module.encoder.pos_embedding.shape[1] == 1 + (64 // 32) ** 2


@pytest.mark.parametrize(
    ("architecture", "normalization", "expected"),
    [
        ("resnet18", "weights", (32, 37, "bilinear", 0.485)),
        ("tuneboard/small_cnn", "weights", (32, 32, "bilinear", 0.485)),
        ("tuneboard/small_cnn", "half", (32, 32, "bilinear", 0.5)),
    ],
)
def test_without_weights_the_usual_input_is_taken(architecture, normalization, expected):
    spec = spec_for(architecture, 32)
    dataset = spec.dataset.model_copy(update={"normalization": normalization})
    form = build_network(spec.model_copy(update={"dataset": dataset}), 3).form
    assert (form.size_px, form.resize_px, form.interpolation, form.mean[0]) == expected


def frozen(mode):
    spec = spec_for("resnet18", 32).model_copy(
        update={"freeze": parse_spec_freeze(mode)}  # weights: none forbids it in a whole spec
    )
    network = build_network(spec, classes=3)
    freeze(network, spec.freeze)
    set_training_mode(network, spec.freeze)
    return network


def parse_spec_freeze(mode):
    document = {"dataset": {"name": "x"}, "freeze": {"layers": "backbone", "mode": mode}}
    return parse_spec(document).freeze


def test_a_frozen_backbone_has_no_gradients_and_only_the_head_trains():
    network = frozen("eval")
    total, trained = parameter_counts(network)
    assert trained == 512 * 3 + 3
    assert total > 11_000_000
    spec = spec_for("resnet18", 32)
    groups = build_optimizer(spec.optimizer, network.module).param_groups
    assert sum(p.numel() for group in groups for p in group["params"]) == trained


@pytest.mark.parametrize(("mode", "moves"), [("eval", False), ("train", True)])
def test_frozen_batch_statistics_move_only_in_train_mode(mode, moves):
    network = frozen(mode)
    before = network.module.bn1.running_mean.clone()
    network.module(torch.randn(4, 3, 32, 32))
    assert torch.equal(network.module.bn1.running_mean, before) != moves
    assert network.module.fc.training


def test_a_hidden_layer_is_followed_by_the_activation_asked_for():
    spec = spec_for("resnet18", 32, model={"head": {"hidden": [6], "activation": "gelu"}})
    assert [type(layer) for layer in build_network(spec, 3).module.fc] == [
        nn.Linear,
        nn.GELU,
        nn.Linear,
    ]


@pytest.mark.parametrize(
    ("architecture", "size", "tap", "width"),
    [
        ("vgg11", 32, "classifier.4", 4096),
        ("vgg11", 32, "features.10", 256),
        ("vgg11", 32, "classifier.6", 1000),
        ("vit_b_32", 32, "encoder.layers.encoder_layer_1", 768),
        ("swin_t", 32, "features.3", 192),
        ("resnet18", 32, "layer2", 128),
        ("timm/convnext_atto", 32, "stages.1", 80),
        ("inception_v3", 96, "Mixed_5d", 288),
    ],
)
def test_a_tapped_head_reads_what_the_module_gives(architecture, size, tap, width):
    spec = spec_for(architecture, size, model={"head": {"tap": tap}})
    network = build_network(spec, classes=3)
    (head,) = network.heads()
    assert (head.in_features, head.out_features) == (width, 3)
    assert network.head_is_last
    images = torch.randn(2, 3, size, size)
    seen = []
    network.module.get_submodule(tap).register_forward_hook(
        lambda _module, _inputs, output: seen.append(output), prepend=True
    )
    network.module.eval()
    logits = network.module(images)
    (output,) = seen
    axis = output.shape.index(width, 1) if output.ndim < 4 or output.shape[1] == width else 3
    features = output.movedim(axis, 1).flatten(2).mean(2) if output.ndim > 2 else output
    assert torch.allclose(logits, head(features), atol=1e-5)


def test_what_comes_after_the_tap_is_neither_trained_nor_run():
    spec = spec_for("resnet18", 32, model={"head": {"tap": "layer2"}})
    network = build_network(spec, classes=3)
    freeze(network, spec.freeze)
    trained = {key for key, p in network.module.named_parameters() if p.requires_grad}
    assert not {key for key in trained if key.startswith(("layer3", "layer4", "fc"))}
    assert {"conv1.weight", "tapped_head.bias"} <= trained
    network.module.layer3.forward = None  # would fail
    network.module(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in network.module.parameters())


def test_a_tapped_network_loads_what_a_file_of_other_classes_holds(tmp_path):
    other = build_network(spec_for("resnet18", 32, training={"seed": 3}), classes=7).module
    torch.save(other.state_dict(), tmp_path / "seven.pth")
    spec = spec_for(
        "resnet18", 32, model={"weights": str(tmp_path / "seven.pth"), "head": {"tap": "layer4"}}
    )
    module = build_network(spec, classes=3).module
    assert torch.equal(module.layer4[1].conv2.weight, other.layer4[1].conv2.weight)


@pytest.mark.parametrize(
    ("architecture", "tap", "why"),
    [
        ("vit_b_32", "encoder.layers.encoder_layer_0.self_attention", "gives tuple"),
        ("vit_b_32", "encoder.layers.encoder_layer_0.self_attention.out_proj", "is not run"),
    ],
)
def test_a_module_that_gives_no_features_is_not_tapped(architecture, tap, why):
    with pytest.raises(RunFailure, match=why):
        build_network(spec_for(architecture, 32, model={"head": {"tap": tap}}), classes=3)


@pytest.mark.parametrize(("weight", "outputs"), [(None, 3), (0.3, 3), (0, 1)])
def test_auxiliary_classifiers_run_in_training_alone(weight, outputs):
    spec = spec_for("googlenet", 32, model={"auxiliary_loss_weight": weight})
    network = build_network(spec, classes=3)
    forward = Forward(network.module, Choices("cpu", "", "fp32", 1, 2))
    images = torch.randn(2, 3, 32, 32)
    set_training_mode(network, spec.freeze)
    assert [logits.shape for logits in forward.outputs(images)] == [(2, 3)] * outputs
    network.module.eval()
    assert [logits.shape for logits in forward.outputs(images)] == [(2, 3)]


def test_frozen_auxiliary_networks_still_train_both_heads():
    spec = spec_for("googlenet", 32)
    network = build_network(spec, classes=3)
    backbone = parse_spec_freeze("eval")
    freeze(network, backbone)
    set_training_mode(network, backbone)
    trained = {key for key, p in network.module.named_parameters() if p.requires_grad}
    assert {key.rpartition(".")[0] for key in trained} == {"fc", "aux1.fc2", "aux2.fc2"}
    before = network.module.conv1.bn.running_mean.clone()
    assert len(network.module(torch.randn(2, 3, 32, 32))) == 3
    assert torch.equal(network.module.conv1.bn.running_mean, before)


def test_medium_cnn_has_the_layers_of_its_study():
    network = build_network(spec_for("tuneboard/medium_cnn"), classes=10)
    assert network.form.size_px == 64
    linear = [m for m in network.module.modules() if isinstance(m, nn.Linear)]
    widths = [(layer.in_features, layer.out_features) for layer in linear]
    assert widths == [(8192, 1024), (1024, 512), (512, 10)]


def test_a_step_follows_the_main_loss_and_its_share_of_the_auxiliary_ones():
    weight = nn.Parameter(torch.ones(2, 3))
    images, labels = torch.randn(4, 2), torch.tensor([0, 1, 2, 1])

    def forward(inputs):
        return inputs @ weight, inputs @ weight * 2

    def step(images_at_once):
        stepper = Stepper(
            forward,
            TrainingLoss(LossSpec(), [1, 2, 1], torch.device("cpu")),
            torch.optim.SGD([weight], lr=0.0),
            torch.amp.GradScaler("cpu", enabled=False),
            auxiliary_weight=0.3,
            clip_norm=None,
            images_at_once=images_at_once,
            when_halved=lambda *_: None,
        )
        loss, right = stepper.take(images, labels, seed=1)
        return loss, right, weight.grad.clone()

    main, second = (functional.cross_entropy(logits, labels) for logits in forward(images))
    weight.grad = None
    (main + 0.3 * second).backward()
    wanted = weight.grad.clone()
    for images_at_once in (4, 2):
        loss, right, gradient = step(images_at_once)
        assert torch.allclose(loss, main + 0.3 * second)
        assert torch.allclose(gradient, wanted)
        assert right == ((images @ weight).argmax(1) == labels).sum()
