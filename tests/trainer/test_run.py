from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from tests.pictures import COLOURS
from tests.trainer.runs import events, make_dataset, numbers, of_kind, spec_with, train
from trainer import resolve, sources
from trainer.checkpoint import CheckpointFolder
from trainer.events import parse_event
from trainer.parsing import parse_spec
from trainer.resolve import Choices, available_threads
from trainer.spec import TrainingSpec


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    spec = spec_with(
        dataset__test_fraction=0.25,
        augmentation__preset="none",
        model__head={},
        training__epochs=6,
        optimizer__lr=0.01,
    )
    assert train(pictures, out, spec) == 0
    return out


def test_events_come_in_order_and_parse(trained):
    kinds = [parse_event(json.dumps(event)).kind for event in events(trained)]
    assert kinds[0] == "run_started"
    assert [kind for kind in kinds if kind != "log"][1] == "progress"
    assert kinds[-1] == "run_finished"
    order = [kind for kind in kinds if kind in {"epoch_finished", "checkpointed", "evaluated"}]
    assert order == ["epoch_finished", "checkpointed"] * 6 + ["evaluated"] * 2


def test_the_start_names_what_was_resolved(trained):
    (started,) = of_kind(trained, "run_started")
    assert started["classes"] == sorted(COLOURS)
    assert started["split_sizes"] == {"train": 18, "val": 9, "test": 9}
    assert (started["epochs"], started["steps_per_epoch"]) == (6, 3)
    assert started["parameters_trained"] == started["parameters_total"] > 200_000
    assert (
        started["resolved"].items()
        >= {
            "device": "cpu",
            "threads": available_threads(),
            "input_size_px": 16,
            "resize_px": 16,
            "interpolation": "bilinear",
            "mean": [0.485, 0.456, 0.406],
            "feature_variants": 0,
        }.items()
    )
    assert started["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_progress_is_said_at_once_in_each_phase_and_counts_up(trained):
    said = of_kind(trained, "progress")
    first = [event for event in said if event["phase"] == "train"][:2]
    assert [event["step"] for event in first] == [0, 1]
    assert first[0]["loss"] is None
    assert first[1]["loss"] > 0
    assert {event["phase"] for event in said} == {"train", "validation", "test"}
    steps = [event["step"] for event in said]
    assert steps == sorted(steps)
    assert steps[-1] == said[-1]["steps"] == 18
    assert said[-1]["eta_s"] < 1


def test_seconds_by_phase_add_up_to_no_more_than_what_passed(trained):
    (finished,) = of_kind(trained, "run_finished")
    assert 0 < sum(finished["seconds"].values()) <= finished["elapsed_s"]
    epochs = of_kind(trained, "epoch_finished")
    assert epochs[0]["seconds"]["checkpoint"] == 0
    for phase in ("data", "compute", "validation"):
        by_epoch = sum(epoch["seconds"][phase] for epoch in epochs)
        assert 0 < by_epoch <= finished["seconds"][phase] + 1e-9
    elapsed = [epoch["elapsed_s"] for epoch in epochs]
    assert elapsed == sorted(elapsed)
    assert finished["standalone_s"] == finished["elapsed_s"]


def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss(trained):
    epochs = of_kind(trained, "epoch_finished")
    best = max(epochs, key=lambda epoch: (epoch["val_accuracy"], -epoch["val_loss"]))
    (finished,) = of_kind(trained, "run_finished")
    assert finished["best_epoch"] == best["epoch"]
    assert finished["best_val_accuracy"] == best["val_accuracy"]
    assert best["val_accuracy"] > 0.9
    assert [e["epoch"] for e in epochs if e["is_best"]][-1] == best["epoch"]


def test_the_evaluation_is_of_the_best_weights_and_agrees_with_its_predictions(trained):
    best = next(e for e in reversed(of_kind(trained, "epoch_finished")) if e["is_best"])
    val, test = of_kind(trained, "evaluated")
    assert (val["split"], test["split"]) == ("val", "test")
    assert val["accuracy"] == best["val_accuracy"]
    assert val["loss"] == best["val_loss"]
    for event in (val, test):
        with np.load(trained / event["predictions_file"], allow_pickle=False) as found:
            ids, labels, chances = found["ids"], found["labels"], found["probabilities"]
        assert len(ids) == len(set(ids)) == event["samples"] == 9
        assert labels.dtype == np.int64
        assert (chances.dtype, chances.shape) == (np.float32, (9, 3))
        np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
        assert (chances.argmax(axis=1) == labels).mean() == event["accuracy"]
        assert np.trace(event["confusion"]) == round(event["accuracy"] * 9)
        assert [figure["support"] for figure in event["classes"]] == [3, 3, 3]
        assert event["macro_recall"] == pytest.approx(event["accuracy"])  # as many of each class
        sureness, right = chances.max(axis=1), chances.argmax(axis=1) == labels
        assert abs(sureness.mean() - right.mean()) - 1e-6 <= event["calibration_error"] <= 1
        assert event["top5_accuracy"] is None
        assert all(name.startswith(sorted(COLOURS)[k]) for name, k in zip(ids, labels, strict=True))
    assert val["samples_fingerprint"] != test["samples_fingerprint"]


def test_the_loss_said_for_an_epoch_is_the_mean_of_its_images(trained):
    steps = {}
    for event in of_kind(trained, "steps_recorded"):
        steps |= dict(zip(event["steps"], event["loss"], strict=True))
    for epoch in of_kind(trained, "epoch_finished"):
        last = epoch["step"]
        weighted = sum(
            loss * size
            for loss, size in zip(
                (steps[last - 2], steps[last - 1], steps[last]), (8, 8, 2), strict=True
            )
        )
        assert epoch["train_loss"] == pytest.approx(weighted / 18)


def test_the_same_spec_gives_the_same_numbers_and_another_seed_others(pictures, tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        assert train(pictures, tmp_path / name, spec_with(training__seed=seed)) == 0
    assert numbers(tmp_path / "one") == numbers(tmp_path / "same")
    assert numbers(tmp_path / "one")["steps"] != numbers(tmp_path / "other")["steps"]


def test_a_diverged_loss_fails_with_its_step_and_a_remedy(pictures, tmp_path, monkeypatch):
    real = functional.cross_entropy
    calls = iter(range(100))

    def broken(logits, labels):
        loss = real(logits, labels)
        # After the first epoch's four steps comes its validation.
        return loss * float("nan") if next(calls) == 6 else loss

    monkeypatch.setattr(functional, "cross_entropy", broken)
    assert train(pictures, tmp_path) == 4
    (failed,) = of_kind(tmp_path, "run_failed")
    assert "At step 6 the loss became nan" in failed["detail"]
    assert "optimizer.lr" in failed["remedy"]
    assert events(tmp_path)[-1] == failed
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_file_that_vanished_fails_the_run_by_name(tmp_path):
    manifest = make_dataset(tmp_path, per_class=4)
    (tmp_path / "images" / "blue" / "002.png").unlink()
    assert train(manifest, tmp_path / "run") == 4
    (failed,) = of_kind(tmp_path / "run", "run_failed")
    assert "blue/002.png" in failed["detail"]


def test_splits_that_cannot_be_made_fail_the_run(tmp_path):
    manifest = make_dataset(tmp_path, per_class=1)
    assert train(manifest, tmp_path / "run") == 4
    (failed,) = of_kind(tmp_path / "run", "run_failed")
    assert "dataset.validation_fraction" in failed["detail"]


def test_out_of_memory_is_a_failure_with_advice(pictures, tmp_path, monkeypatch):
    def greedy(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB\nmore")

    monkeypatch.setattr("trainer.attempt.build_network", greedy)
    assert train(pictures, tmp_path) == 4
    (failed,) = of_kind(tmp_path, "run_failed")
    assert failed["detail"] == "CUDA out of memory. Tried to allocate 20.00 GiB"
    assert "training.batch_size" in failed["remedy"]


def test_a_bug_is_a_crash_and_no_failure_of_the_users(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.attempt.build_network", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(pictures, tmp_path)
    assert of_kind(tmp_path, "run_failed") == []


def frozen(preset):
    return spec_with(
        model__architecture="timm/tf_efficientnet_lite0",
        model__weights="package",
        model__head={},
        freeze__layers="backbone",
        augmentation__preset=preset,
        dataset__input_size_px=32,
        dataset__test_fraction=0.25,
        training__precision="fp32",
        optimizer__lr=0.01,
    )


@pytest.mark.parametrize(("preset", "variants"), [("none", 1), ("flip", 2)])
def test_kept_features_change_no_number_beyond_rounding(
    pictures, tmp_path, monkeypatch, preset, variants
):
    assert train(pictures, tmp_path / "kept", frozen(preset)) == 0
    monkeypatch.setattr(sources, "FEATURES_LIMIT_BYTES", 0)
    assert train(pictures, tmp_path / "plain", frozen(preset)) == 0
    for name, expected in (("kept", variants), ("plain", 0)):
        (started,) = of_kind(tmp_path / name, "run_started")
        assert started["resolved"]["feature_variants"] == expected
    phases = {event["phase"] for event in of_kind(tmp_path / "kept", "progress")}
    assert phases == {"features", "train", "validation", "test"}
    kept, plain = numbers(tmp_path / "kept"), numbers(tmp_path / "plain")
    for step, (_, loss, _) in kept["steps"].items():
        assert loss == pytest.approx(plain["steps"][step][1], rel=1e-3)
    for ours, theirs in zip(kept["evaluated"], plain["evaluated"], strict=True):
        assert ours["confusion"] == theirs["confusion"]


def test_the_final_file_holds_the_whole_model_even_where_the_backbone_never_moved(
    pictures, tmp_path
):
    assert train(pictures, tmp_path / "first", frozen("none")) == 0
    weights = load_file(tmp_path / "first" / "checkpoints" / "best.safetensors")
    state = CheckpointFolder(tmp_path / "first").load_last()
    assert set(state.model) == {"classifier.weight", "classifier.bias"}
    assert len(weights) > 290
    again = frozen("none")
    again["model"]["weights"] = str(tmp_path / "first" / "checkpoints" / "best.safetensors")
    again["training"]["epochs"] = 1
    assert train(pictures, tmp_path / "again", again) == 0


def test_what_is_trained_with_bf16_says_so(pictures, tmp_path):
    assert train(pictures, tmp_path, spec_with(training__precision="bf16")) == 0
    (started,) = of_kind(tmp_path, "run_started")
    assert started["resolved"]["precision"] == "bf16"
    assert of_kind(tmp_path, "run_finished")


def test_a_run_of_many_steps_records_at_most_a_few_thousand(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.progress.POINTS_PER_SERIES", 4)
    assert train(pictures, tmp_path) == 0
    assert sorted(numbers(tmp_path)["steps"]) == [3, 6, 9, 12]


def test_resources_are_said_while_it_trains(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.watch.RESOURCES_EVERY_S", 0.05)
    assert train(pictures, tmp_path, spec_with(training__epochs=6)) == 0
    said = of_kind(tmp_path, "resources")
    assert said
    assert 50_000_000 < said[0]["memory_bytes"] < 50_000_000_000
    assert events(tmp_path)[-1]["kind"] == "run_finished"


def test_a_gpu_that_is_not_there_is_asked_for_in_vain(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train(pictures, tmp_path, spec_with(training__device="cuda")) == 4
    (failed,) = of_kind(tmp_path, "run_failed")
    assert failed["title"] == "There is no GPU here"


@pytest.mark.parametrize(
    ("asked", "has", "got"),
    [
        ("auto", True, "bf16"),
        ("auto", False, "fp32"),
        ("fp32", True, "fp32"),
        ("bf16", False, "bf16"),
    ],
)
def test_precision_follows_the_hardware_only_where_the_spec_leaves_it_open(
    monkeypatch, asked, has, got
):
    monkeypatch.setattr(resolve, "cpu_has_bf16", lambda: has)
    spec = TrainingSpec(precision=asked)
    assert resolve.precision_for(spec, "cpu", nn.Conv2d(4, 4, 3)) == got


def test_grouped_convolutions_are_trained_on_a_cpu_in_fp32(monkeypatch):
    monkeypatch.setattr(resolve, "cpu_has_bf16", lambda: True)
    layer = nn.Conv2d(4, 4, 3, groups=4)
    assert resolve.precision_for(TrainingSpec(), "cpu", layer) == "fp32"
    assert resolve.precision_for(TrainingSpec(), "cpu", layer.requires_grad_(False)) == "bf16"


@pytest.mark.parametrize(("wanted", "got"), [("1", 1), ("1000", None), ("", None), ("many", None)])
def test_threads_are_those_of_the_machine_or_fewer(monkeypatch, wanted, got):
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1, 2}, raising=False)
    assert available_threads() == (got or 3)


def test_choices_survive_their_way_through_a_checkpoint():
    choices = Choices("cpu", "some CPU", "bf16", 3, 64, 2)
    assert resolve.restore(choices.describe()) == choices


def test_the_run_keeps_its_spec_and_environment(trained):
    assert parse_spec(json.loads((trained / "spec.json").read_text())).training.epochs == 6
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["versions"]["timm"]
    assert environment["cpu"]
