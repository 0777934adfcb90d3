"""Every family of architectures gets a head, is partly frozen and takes a training step."""

from __future__ import annotations

import zipfile

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainer import catalogue
from trainer.bases import OURS
from trainer.build_catalogue import (
    describe,
    installed_versions,
    timm_names,
    torchvision_names,
)
from trainer.freeze import freeze, frozen_names, set_training_mode
from trainer.freeze_sections import FreezeSpec
from trainer.model import build_network
from trainer.optim import build_optimizer
from trainer.parsing import parse_spec
from trainer.resolve import Choices
from trainer.sources import Forward

TORCHVISION = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "vgg11",
    "vit_b_32",
    "wide_resnet50_2",
]
# Classifiers of every shape: linear layers, convolutions, several heads that are averaged,
# normalisation before the layer.
TIMM = [
    "timm/test_resnet",
    "timm/test_vit",
    "timm/tf_efficientnet_lite0",
    "timm/convnext_atto",
    "timm/dla46x_c",
    "timm/resnetv2_18",
    "timm/deit_tiny_distilled_patch16_224",
    "timm/levit_128s",
    "timm/crossvit_tiny_240",
    "timm/mobilenetv4_conv_small",
    "timm/repvit_m1",
    "timm/ghostnet_050",
    "timm/hardcorenas_a",
    "timm/lcnet_035",
    "timm/mixer_s32_224",
    "timm/tinynet_e",
    "timm/edgenext_xx_small",
    "timm/fastvit_t8",
    "timm/mobilevit_xxs",
    "timm/poolformer_s12",
    "timm/vovnet39a",
    "timm/xcit_nano_12_p16_224",
]
WAYS = ("none", "backbone", "first_children", "up_to", "patterns")
CPU = Choices("cpu", "", "fp32", 1, 2)
CLASSES = 3
GIANT_PARAMETERS = 150e6  # their weights and gradients take over a gigabyte


def spec_for(architecture):
    entry = catalogue.entry(architecture)
    smallest = entry.auxiliary_smallest_px or entry.smallest_input_px
    return parse_spec(
        {
            "dataset": {"name": "pictures", "input_size_px": smallest},
            "model": {
                "architecture": architecture,
                "weights": "none",
                "head": {"hidden": [6], "dropout": 0.1},
            },
            "optimizer": {"lr": 1e-5, "momentum": 0},  # a giant's would take gigabytes
        }
    )


def freezing(architecture, way):
    names = catalogue.modules(architecture)
    children = [name for name in names if "." not in name]
    fields = {
        "first_children": {"first_children": (len(children) + 1) // 2},
        "up_to": {"up_to": names[len(names) // 2]},
        "patterns": {"patterns": (names[len(names) // 3], f"{children[0]}*")},
    }
    return FreezeSpec(layers=way, **fields.get(way, {}))


def assert_a_step_moves_what_is_trained(network, spec, freeze_spec):
    freeze(network, freeze_spec)
    set_training_mode(network, freeze_spec)
    frozen = frozen_names(network, freeze_spec, 0)
    module = network.module
    # What moves needs no copy, which of a giant would be gigabytes.
    still = {key for key in module.state_dict() if key.rpartition(".")[0] in frozen}
    before = {
        key: tensor.clone()
        for key, tensor in module.state_dict().items()
        if key in still or network.is_head_key(key)
    }
    optimizer = build_optimizer(spec.optimizer, module)
    side = network.form.size_px
    outputs = Forward(module, CPU).outputs(torch.randn(2, 3, side, side))
    assert [logits.shape for logits in outputs] == [(2, CLASSES)] * (
        1 + len(network.auxiliary_names)
    )
    sum(functional.cross_entropy(logits, torch.tensor([0, 2])) for logits in outputs).backward()
    for parameter in module.parameters():
        if parameter.grad is not None:
            # Batch norms over two images of a few pixels let the deepest networks' overflow.
            parameter.grad.nan_to_num_(0, 0, 0).sign_()
    optimizer.step()
    after = module.state_dict()
    for name in (*network.head_names, *network.auxiliary_names):
        head = module.get_submodule(name)
        last = head[-1] if isinstance(head, nn.Sequential) else head
        path = f"{name}.{len(head) - 1}" if isinstance(head, nn.Sequential) else name
        assert last.bias.grad is not None
        assert not torch.equal(after[f"{path}.bias"], before[f"{path}.bias"])
    for key, parameter in module.named_parameters():
        if key.rpartition(".")[0] in frozen:
            assert parameter.grad is None, key
    given = {id(p) for group in optimizer.param_groups for p in group["params"]}
    trained = {id(p) for p in module.parameters() if p.requires_grad}
    assert given == trained
    assert all(torch.equal(before[key], after[key]) for key in still)
    for parameter in module.parameters():
        parameter.grad = None


@pytest.mark.parametrize(
    ("architecture", "way"),
    [
        (architecture, WAYS[index % len(WAYS)])
        for index, architecture in enumerate([*TORCHVISION, *TIMM, *OURS])
    ],
)
def test_every_family_takes_a_step_at_the_smallest_input(architecture, way):
    spec = spec_for(architecture)
    network = build_network(spec, CLASSES)
    for head in network.heads():
        kinds = [type(layer) for layer in head]
        layer = nn.Conv2d if nn.Conv2d in kinds else nn.Linear
        assert kinds == [nn.Dropout, layer, nn.ReLU, nn.Dropout, layer]
    assert_a_step_moves_what_is_trained(network, spec, freezing(architecture, way))


@pytest.mark.sweep
@pytest.mark.parametrize(
    "architecture",
    [
        # One at a time: two of them would not fit into the memory of a small machine.
        pytest.param(name, marks=pytest.mark.xdist_group("giants"))
        if catalogue.entry(name).parameters > GIANT_PARAMETERS
        else name
        for name in [*torchvision_names(), *TIMM, *OURS]
    ],
)
def test_every_torchvision_name_and_timm_family_takes_a_step_frozen_in_every_way(architecture):
    spec = spec_for(architecture)
    network = build_network(spec, CLASSES)
    for way in WAYS:
        assert_a_step_moves_what_is_trained(network, spec, freezing(architecture, way))


def test_the_index_names_every_architecture_there_is():
    known = {*torchvision_names(), *timm_names(), *OURS}
    assert set(catalogue.names()) == known, "run python -m trainer.build_catalogue"


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "regnet_y_400mf",
        "alexnet",
        "vit_b_16",
        "timm/tf_efficientnet_lite0",
        "timm/test_vit",
        "timm/convnext_atto",
        "timm/vgg11",
        *OURS,
    ],
)
def test_the_catalogue_tells_what_the_model_is(name):
    described = describe(name)
    assert catalogue.entry(name) == described.entry
    with zipfile.ZipFile(catalogue.MODULES) as archive:
        assert archive.read(name).decode() == described.layout


def test_the_children_of_resnet18_are_those_of_the_published_study():
    assert [name for name in catalogue.modules("resnet18") if "." not in name] == [
        *("conv1", "bn1", "relu", "maxpool"),
        *("layer1", "layer2", "layer3", "layer4", "avgpool", "fc"),
    ]
    assert catalogue.entry("inception_v3").auxiliary_smallest_px == 299


def test_the_catalogue_is_of_the_installed_versions():
    assert catalogue.versions() == installed_versions(), "run python -m trainer.build_catalogue"


def test_the_catalogue_knows_the_modules_and_smallest_input_of_all():
    with zipfile.ZipFile(catalogue.MODULES) as archive:
        assert set(archive.namelist()) == set(catalogue.names())
    unknown = [n for n in catalogue.names() if catalogue.entry(n).smallest_input_px is None]
    assert unknown == []
