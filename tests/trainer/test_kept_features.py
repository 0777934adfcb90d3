from __future__ import annotations

import os

import pytest
import torch

from tests.trainer.runs import make_dataset, numbers, of_kind, spec_with, start_child, train
from trainer import kept_features, run_data
from trainer.datasets.manifest import Item
from trainer.kept_features import FOLDER, KeptFeatures

CPU = torch.device("cpu")


def frozen(**changes):
    return spec_with(
        **{
            "model__architecture": "timm/tf_efficientnet_lite0",
            "model__weights": "package",
            "model__head": {},
            "freeze__layers": "backbone",
            "augmentation__preset": "flip",
            "dataset__input_size_px": 32,
            "dataset__test_fraction": 0.25,
            "training__epochs": 2,
            "training__precision": "fp32",
            "optimizer__lr": 0.01,
            **changes,
        }
    )


def cost_of(out):
    (finished,) = of_kind(out, "run_finished")
    return finished["standalone_s"] - finished["elapsed_s"]


@pytest.fixture
def manifest(tmp_path):
    return make_dataset(tmp_path / "data")


@pytest.fixture
def folder(manifest):
    return manifest.parent / FOLDER


def test_a_second_run_computes_nothing_and_has_the_same_numbers(
    manifest, folder, tmp_path, monkeypatch
):
    assert train(manifest, tmp_path / "first", frozen()) == 0
    assert cost_of(tmp_path / "first") == 0
    assert len(list(folder.iterdir())) == 4  # training images, mirrored, validation, test

    def not_again(*_):
        pytest.fail("the backbone ran")

    monkeypatch.setattr(run_data, "compute_features", not_again)
    assert train(manifest, tmp_path / "second", frozen()) == 0
    assert numbers(tmp_path / "second") == numbers(tmp_path / "first")
    assert cost_of(tmp_path / "second") > 0.01
    said = [event["message"] for event in of_kind(tmp_path / "second", "log")]
    assert any("Earlier runs took" in message for message in said)
    other = frozen(optimizer__lr=0.1, augmentation__preset="none", model__head={"dropout": 0.5})
    assert train(manifest, tmp_path / "other", other) == 0


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"training__seed": 6, "training__epochs": 1, "optimizer__name": "sgd"}, 0),
        ({"dataset__input_size_px": 40}, 4),
        ({"dataset__normalization": "imagenet"}, 4),
        ({"dataset__split_seed": 9}, 4),
        ({"training__precision": "bf16"}, 4),
        ({"training__batch_size": 65}, 4),
        ({"model__architecture": "timm/tf_efficientnet_lite1"}, 4),
        ({"augmentation__preset": "standard"}, 0),
        ({"freeze__layers": "none"}, 0),
    ],
)
def test_what_changes_the_features_is_kept_apart(manifest, folder, tmp_path, changes, more):
    assert train(manifest, tmp_path / "first", frozen()) == 0
    before = set(folder.iterdir())
    assert train(manifest, tmp_path / "second", frozen(**changes)) == 0
    assert len(set(folder.iterdir()) - before) == more


def test_other_weights_and_other_images_are_kept_apart(manifest, folder, tmp_path):
    first = tmp_path / "first"
    assert train(manifest, first, frozen(freeze__layers="none")) == 0
    assert not folder.exists()
    assert train(manifest, tmp_path / "packaged", frozen()) == 0
    tuned = frozen(model__weights=str(first / "checkpoints/best.safetensors"))
    assert train(manifest, tmp_path / "tuned", tuned) == 0
    assert len(list(folder.iterdir())) == 8
    other = make_dataset(tmp_path / "other", per_class=13)
    other.rename(manifest)
    (tmp_path / "data/images").rename(tmp_path / "data/before")
    (tmp_path / "other/images").rename(tmp_path / "data/images")
    assert train(manifest, tmp_path / "second", frozen()) == 0
    assert len(list(folder.iterdir())) == 12


def test_a_run_that_was_killed_owes_what_it_found_once(manifest, tmp_path):
    assert train(manifest, tmp_path / "first", frozen()) == 0
    assert train(manifest, tmp_path / "second", frozen()) == 0
    child = start_child(manifest, tmp_path / "killed", frozen(), fault="before predictions")
    child.join(60)
    assert child.exitcode != 0
    again = start_child(manifest, tmp_path / "killed", frozen(), tmp_path / "killed")
    again.join(60)
    assert again.exitcode == 0
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "first")
    assert cost_of(tmp_path / "killed") == pytest.approx(cost_of(tmp_path / "second"))


def test_a_broken_file_is_computed_again(manifest, folder, tmp_path):
    assert train(manifest, tmp_path / "first", frozen()) == 0
    sizes = {}
    for path in folder.iterdir():
        sizes[path] = path.stat().st_size
        path.write_bytes(path.read_bytes()[: sizes[path] // 2])
    assert train(manifest, tmp_path / "second", frozen()) == 0
    assert numbers(tmp_path / "second") == numbers(tmp_path / "first")
    assert {path: path.stat().st_size for path in folder.iterdir()} == sizes


def test_a_folder_that_takes_no_file_stops_nobody(manifest, folder, tmp_path):
    folder.write_text("in the way")
    assert train(manifest, tmp_path / "run", frozen()) == 0


def test_what_was_used_longest_ago_makes_room(tmp_path, monkeypatch):
    kept = KeptFeatures(tmp_path, {})
    items = {name: [Item(name, 0)] for name in ("first", "second", "third")}
    features = torch.arange(1000.0).reshape(10, 100)
    for name in ("first", "second"):
        kept.keep(items[name], features, 1.5, mirrored=False)
        for path in tmp_path.iterdir():
            os.utime(path, (0, path.stat().st_mtime - 60))
    monkeypatch.setattr(kept_features, "LIMIT_BYTES", 2 * path.stat().st_size)
    assert kept.find(items["first"], mirrored=False, device=CPU) is not None
    assert kept.find(items["first"], mirrored=True, device=CPU) is None
    kept.keep(items["third"], features, 1.5, mirrored=False)
    found = {name: kept.find(items[name], mirrored=False, device=CPU) for name in items}
    assert found["second"] is None
    assert torch.equal(found["third"][0], features)
    assert found["third"][1] == found["first"][1] == 1.5
    kept.keep(items["second"], torch.zeros(10_000), 1.5, mirrored=False)
    assert kept.find(items["second"], mirrored=False, device=CPU) is None
    assert kept.find(items["first"], mirrored=False, device=CPU) is not None
