"""Counts told from the catalogue against those of the real networks."""

from __future__ import annotations

import pytest

from trainer import catalogue
from trainer.freeze import freeze, parameter_counts
from trainer.model import build_network
from trainer.parameters import count_parameters
from trainer.parsing import parse_spec

FROZEN = {"layers": "up_to", "up_to": "layer2"}


def spec_of(architecture, size=None, **sections):
    return parse_spec(
        {
            "dataset": {"name": "pictures", "input_size_px": size},
            "model": {"architecture": architecture, "weights": "none", **sections.pop("model", {})},
            **sections,
        }
    )


def real_counts(spec, classes, stage=0):
    network = build_network(spec, classes)
    freeze(network, spec.freeze, stage)
    return parameter_counts(network)


@pytest.mark.parametrize(
    "spec",
    [
        spec_of("resnet18", 32),
        spec_of("resnet18", 32, freeze=FROZEN),
        spec_of("resnet18", 32, freeze={"layers": "first_children", "first_children": 5}),
        spec_of("resnet18", 32, freeze={"layers": "patterns", "patterns": ["*.bn1", "conv1"]}),
        spec_of("resnet18", 32, model={"head": {"hidden": [64, 8], "dropout": 0.2}}),
        spec_of("squeezenet1_1", 64),
        spec_of("tuneboard/small_cnn", 32),
        spec_of("timm/tf_efficientnet_lite0", 32, freeze={"layers": "up_to", "up_to": "blocks.2"}),
        spec_of("googlenet", 64),
        spec_of("googlenet", 64, model={"auxiliary_loss_weight": 0}),
        spec_of("timm/deit_tiny_distilled_patch16_224"),
        spec_of("timm/test_vit"),
    ],
    ids=lambda spec: f"{spec.model.architecture} {spec.freeze.layers}",
)
def test_the_catalogues_counts_are_the_real_networks(spec):
    counts = count_parameters(spec, 5)
    assert (counts.total, counts.trained) == real_counts(spec, 5)
    assert counts.is_exact


def test_a_frozen_backbone_trains_the_head_alone():
    spec = parse_spec(
        {
            "dataset": {"name": "pictures"},
            "model": {"architecture": "vgg16"},
            "freeze": {"layers": "backbone"},
        }
    )
    assert count_parameters(spec, 2).trained == 2 * 4096 + 2


def test_a_schedule_trains_more_at_last():
    spec = spec_of("resnet18", 32, freeze={**FROZEN, "schedule": [{"epoch": 3, "unfreeze": "all"}]})
    counts = count_parameters(spec, 5)
    assert counts.trained == real_counts(spec, 5)[1]
    assert counts.trained_at_last == counts.total == real_counts(spec, 5, stage=1)[1]


def test_a_tapped_network_counts_the_head_on_the_taps_width():
    """The rest is a good guess: what comes after the tap in the network's order is never run."""
    tap = {"head": {"tap": "layer2"}}
    spec = spec_of("resnet18", 32, model=tap)
    counts = count_parameters(spec, 5)
    assert (counts.total, counts.trained) == real_counts(spec, 5)
    assert not counts.is_exact
    codes = parse_spec(
        {
            "dataset": {"name": "pictures"},
            "model": {"architecture": "vgg16", "head": {"tap": "classifier.4"}},
            "freeze": {"layers": "backbone"},
        }
    )
    assert count_parameters(codes, 2).trained == 2 * 4096 + 2


def test_an_unknown_layout_gives_no_counts(monkeypatch):
    monkeypatch.setattr(catalogue, "layout", lambda _name: None)
    assert count_parameters(spec_of("resnet18", 32), 5) is None
