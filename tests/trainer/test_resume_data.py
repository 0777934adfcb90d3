"""Runs with mixed batches, listed transforms and computed normalization resume exactly."""

from __future__ import annotations

import json
import signal

import pytest

from tests.trainer.runs import numbers, of_kind, spec_with, start_child
from tests.trainer.test_resume import finish

WAYS = {
    "mixup": {"augmentation__mixup_alpha": 0.4},
    "cutmix beside mixup": {
        "augmentation__cutmix_alpha": 1.0,
        "augmentation__mixup_alpha": 1.0,
        "augmentation__mix_probability": 0.8,
    },
    "a list of transforms": {
        "augmentation__preset": "none",
        "augmentation__transforms": [
            {"name": "RandomHorizontalFlip", "p": 0.4},
            {"name": "RandomRotation", "degrees": 30},
            {"name": "ColorJitter", "brightness": 0.4},
        ],
    },
    "validation images changed too": {
        "augmentation__preset": "light",
        "augmentation__validation": "training",
    },
    "a preset of listed transforms upside down": {
        "augmentation__preset": "strong",
        "augmentation__vertical_flip": 0.5,
    },
    "computed normalization": {"dataset__normalization": "computed"},
    "a counted training set": {
        "dataset__train_count": 14,
        "dataset__rest": "validation",
        "training__batch_size": 4,
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_killed_in_mid_epoch_and_between_files_ends_the_same(pictures, tmp_path, way):
    spec = spec_with(**WAYS[way])
    assert finish(start_child(pictures, tmp_path / "whole", spec)) == 0
    killed = start_child(pictures, tmp_path / "cut", spec, fault="in mid-epoch", nth=1)
    assert finish(killed) == -signal.SIGKILL
    again = start_child(
        pictures, tmp_path / "two", spec, tmp_path / "cut", fault="before the replace", nth=1
    )
    assert finish(again) == -signal.SIGKILL
    assert finish(start_child(pictures, tmp_path / "three", spec, tmp_path / "two")) == 0
    assert numbers(tmp_path / "three") == numbers(tmp_path / "whole")
    started = of_kind(tmp_path / "three", "run_started")
    assert started[-1]["resumed_from_step"]
    assert json.dumps(started[0]["resolved"]) == json.dumps(started[-1]["resolved"])


def test_computed_normalization_centres_the_training_images(pictures, tmp_path):
    spec = spec_with(dataset__normalization="computed", training__epochs=1)
    assert finish(start_child(pictures, tmp_path / "computed", spec)) == 0
    (computed,) = of_kind(tmp_path / "computed", "run_started")
    assert computed["resolved"]["mean"] != [0.485, 0.456, 0.406]
    assert all(0 < value < 1 for value in computed["resolved"]["mean"])
    assert all(0 < value < 0.5 for value in computed["resolved"]["std"])


def test_a_mixed_run_is_trained_on_other_batches_but_validated_on_the_same(pictures, tmp_path):
    losses, validated = {}, set()
    for way, alpha in (("plain", 0.0), ("mixed", 1.0)):
        spec = spec_with(augmentation__mixup_alpha=alpha, training__epochs=1)
        assert finish(start_child(pictures, tmp_path / way, spec)) == 0
        (epoch,) = of_kind(tmp_path / way, "epoch_finished")
        losses[way] = epoch["train_loss"]
        assert 0 <= epoch["train_accuracy"] <= 1
        (evaluated,) = of_kind(tmp_path / way, "evaluated")
        validated.add(evaluated["samples_fingerprint"])
    assert losses["plain"] != losses["mixed"]
    assert len(validated) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"augmentation__mixup_alpha": 0.2},
        {"augmentation__vertical_flip": 0.5},
        {"augmentation__transforms": [{"name": "ColorJitter", "hue": 0.1}]},
        {"augmentation__preset": "light"},
    ],
)
def test_features_of_a_frozen_backbone_are_not_kept_where_images_keep_changing(
    pictures, tmp_path, change
):
    spec = spec_with(
        model__architecture="timm/tf_efficientnet_lite0",
        model__weights="package",
        freeze__layers="backbone",
        dataset__input_size_px=32,
        training__epochs=1,
        **{"augmentation__preset": "none", **change},
    )
    assert finish(start_child(pictures, tmp_path, spec)) == 0
    (started,) = of_kind(tmp_path, "run_started")
    assert started["resolved"]["feature_variants"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "flip"},
        {"preset": "standard"},
        {"preset": "none", "vertical_flip": 1.0},
        {"preset": "none", "transforms": [{"name": "RandomInvert", "p": 1.0}]},
    ],
)
def test_validation_images_are_changed_like_training_images_if_asked(pictures, tmp_path, change):
    epochs, evaluated = {}, {}
    for validation in ("plain", "training"):
        spec = spec_with(training__epochs=2, optimizer__lr=1e-12, dataset__test_fraction=0.2)
        spec["augmentation"] = {**change, "validation": validation}
        assert finish(start_child(pictures, tmp_path / validation, spec)) == 0
        epochs[validation] = of_kind(tmp_path / validation, "epoch_finished")
        evaluated[validation] = {
            event["split"]: event["loss"] for event in of_kind(tmp_path / validation, "evaluated")
        }
    for plain, changed in zip(epochs["plain"], epochs["training"], strict=True):
        assert plain["train_loss"] == changed["train_loss"]
        assert plain["val_loss"] != changed["val_loss"]
    # Weights that hardly move: but for batch statistics, the images are the same in each epoch.
    assert evaluated["training"]["val"] in [epoch["val_loss"] for epoch in epochs["training"]]
    assert evaluated["plain"]["test"] == evaluated["training"]["test"]
