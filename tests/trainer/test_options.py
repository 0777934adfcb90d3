"""Training options: each does what it says, and a run with it resumes exactly."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.runs import events, numbers, of_kind, spec_with, start_child, train
from trainer import resolve
from trainer.checkpoint import CheckpointFolder
from trainer.errors import InvalidInput
from trainer.loop import Training
from trainer.parsing import parse_spec
from trainer.sources import Forward
from trainer.training_sections import TrainingSpec

SECONDS_TO_END = 120


def finish(process):
    process.join(SECONDS_TO_END)
    assert process.exitcode is not None, "the trainer hangs"
    return process.exitcode


def options(**changes):
    return spec_with(augmentation__preset="flip", scheduler__name="none", **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"scheduler": {"name": "step", "step_epochs": 1, "gamma": 0.5}},
        {"scheduler": {"name": "multi_step", "milestones": [1, 2]}},
        {"scheduler": {"name": "exponential", "gamma": 0.6, "warmup_epochs": 1}},
        {"scheduler": {"name": "cosine_restarts", "t_0_epochs": 1, "t_mult": 2}},
        {"scheduler": {"name": "one_cycle", "max_lr": 0.02}},
        {
            "scheduler": {"name": "plateau", "patience_epochs": 0, "watch": "val_accuracy"},
            "training": {"epochs": 4},
        },
        {"training": {"ema_decay": 0.9, "best_by": "val_loss", "clip_norm": 0.5}},
        {"training": {"accumulate_steps": 2, "batch_size": 5, "checkpoint_minutes": 1e-6}},
        {
            "optimizer": {"name": "rmsprop", "momentum": 0.5},
            "loss": {"name": "hinge", "class_weights": "balanced"},
        },
        {
            "optimizer": {"name": "sgd", "nesterov": True, "lr": 0.01},
            "loss": {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 0.5]},
        },
    ],
    ids=lambda changes: "-".join(
        str(value) for section in changes.values() for value in section.values()
    ),
)
def test_a_run_killed_in_its_second_epoch_ends_as_if_nothing_had_happened(
    pictures, tmp_path, changes
):
    spec = options()
    for section, given in changes.items():
        spec[section] = given if section in ("scheduler", "loss") else {**spec[section], **given}
    spec["optimizer"] = changes.get("optimizer", spec["optimizer"])
    spec["training"]["precision"] = "fp32"
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert finish(start_child(pictures, whole, spec)) == 0
    # The tenth step in a process; with half as many steps an epoch that is later in the run.
    nth = -3 if "accumulate_steps" not in spec["training"] else -4
    assert finish(start_child(pictures, cut, spec, None, "in mid-epoch", nth)) == -signal.SIGKILL
    assert finish(start_child(pictures, cut, spec, cut)) == 0
    assert of_kind(cut, "run_started")[-1]["resumed_from_step"]
    assert numbers(cut) == numbers(whole)


def test_options_change_the_numbers(pictures, tmp_path):
    found = {}
    for name, changes in {
        "plain": {},
        "clip": {"training__clip_norm": 0.01, "optimizer__name": "sgd"},
        "unclipped": {"optimizer__name": "sgd"},
        "smooth": {"loss__label_smoothing": 0.2},
        "hinge": {"loss__name": "hinge"},
        "weights": {"loss__class_weights": [1, 5, 1]},
    }.items():
        assert train(pictures, tmp_path / name, options(training__epochs=1, **changes)) == 0
        found[name] = [loss for _, loss, _ in numbers(tmp_path / name)["steps"].values()]
    assert len({tuple(losses) for losses in found.values()}) == len(found)


def test_accumulated_batches_are_one_step_of_the_sum_of_their_images(pictures, tmp_path):
    # Batch norm sees parts, and dropout falls otherwise: the first loss is compared without them.
    plain = options(training__batch_size=12, model__head={}, optimizer__lr=1e-6)
    parts = options(
        training__batch_size=6, training__accumulate_steps=2, model__head={}, optimizer__lr=1e-6
    )
    for name, spec in (("plain", plain), ("parts", parts)):
        assert train(pictures, tmp_path / name, spec) == 0
    one, other = numbers(tmp_path / "plain"), numbers(tmp_path / "parts")
    assert list(one["steps"]) == list(other["steps"])
    first, second = one["steps"][1][1], other["steps"][1][1]
    assert first == pytest.approx(second, rel=0.2)
    assert first != second


def test_the_average_of_the_weights_is_validated_and_saved(pictures, tmp_path, monkeypatch):
    spec = options(training__ema_decay=0.95, training__epochs=2)
    seen = []
    real = Training._validate

    def validate(self, rate):
        seen.append({name: t.clone() for name, t in self.trained_tensors().items()})
        return real(self, rate)

    monkeypatch.setattr(Training, "_validate", validate)
    assert train(pictures, tmp_path, spec) == 0
    state = CheckpointFolder(tmp_path).load_last()
    assert state is not None
    (finished,) = of_kind(tmp_path, "run_finished")
    best = load_file(tmp_path / "checkpoints" / "best.safetensors")
    validated = seen[finished["best_epoch"] - 1]
    assert all(torch.equal(best[name], validated[name]) for name in best)
    assert all(torch.equal(state.averages[name], seen[-1][name]) for name in seen[-1])
    weight = next(name for name in state.model if state.model[name].ndim > 1)
    assert not torch.equal(state.model[weight], state.averages[weight])


def test_early_stopping_ends_the_run_well_and_says_why(pictures, tmp_path):
    spec = options(training__epochs=30, training__stop_after_epochs=2, training__min_delta=0.9)
    assert train(pictures, tmp_path, spec) == 0
    epochs = of_kind(tmp_path, "epoch_finished")
    (finished,) = of_kind(tmp_path, "run_finished")
    assert len(epochs) == finished["epochs"] == 3  # the first gains, two do not
    assert finished["steps"] == epochs[-1]["step"]
    assert any(
        "Stopped early after 3 of 30 epochs" in e["message"] for e in of_kind(tmp_path, "log")
    )
    # Resumed after its end it trains no more.
    before = numbers(tmp_path)
    assert train(pictures, tmp_path, spec, resume_from=tmp_path) == 0
    assert numbers(tmp_path) == before


def test_the_time_limit_cuts_the_epoch_short_and_the_run_succeeds(pictures, tmp_path):
    spec = options(training__time_limit_minutes=1e-6, training__epochs=5)
    assert train(pictures, tmp_path, spec) == 0
    (epoch,) = of_kind(tmp_path, "epoch_finished")
    (finished,) = of_kind(tmp_path, "run_finished")
    assert (epoch["step"], finished["steps"], finished["epochs"]) == (1, 1, 1)
    (steps,) = of_kind(tmp_path, "steps_recorded")
    assert epoch["train_loss"] == pytest.approx(steps["loss"][0])
    (warning,) = [e for e in of_kind(tmp_path, "warning") if "time limit" in e["title"]]
    assert "1 of 5 epochs; the last one is 3 of 4 steps short" in warning["detail"]
    before = numbers(tmp_path)
    assert train(pictures, tmp_path, spec, resume_from=tmp_path) == 0
    assert numbers(tmp_path) == before


def test_time_spent_before_a_kill_counts_towards_the_limit(pictures, tmp_path):
    spec = options(training__time_limit_minutes=60, training__checkpoint_minutes=1e-6)
    assert (
        finish(start_child(pictures, tmp_path, spec, None, "in mid-epoch", -3)) == -signal.SIGKILL
    )
    folder = CheckpointFolder(tmp_path)
    state = folder.load_last()
    assert state is not None
    assert 0 < state.elapsed_s < 60
    state.elapsed_s = 3600.0
    folder.save_last(state)
    assert train(pictures, tmp_path, spec, resume_from=tmp_path) == 0
    (finished,) = of_kind(tmp_path, "run_finished")
    assert finished["steps"] == state.step + 1


def test_long_epochs_are_checkpointed_on_the_way(pictures, tmp_path):
    spec = options(training__checkpoint_minutes=1e-6, training__epochs=2)
    assert train(pictures, tmp_path, spec) == 0
    steps = [event["step"] for event in of_kind(tmp_path, "checkpointed")]
    assert sorted(set(steps)) == list(range(1, 9))
    plain = options(training__epochs=2)
    assert train(pictures, tmp_path / "plain", plain) == 0
    assert [e["step"] for e in of_kind(tmp_path / "plain", "checkpointed")] == [4, 8]
    assert numbers(tmp_path) == numbers(tmp_path / "plain")


def limit_memory(monkeypatch, images, error=torch.OutOfMemoryError):
    """Let training's forward pass fail with more than so many images."""
    real = Forward.outputs

    def outputs(self, inputs):
        if torch.is_grad_enabled() and len(inputs) > images:
            raise error("CUDA out of memory. Tried to allocate 20.00 GiB\nmore")
        return real(self, inputs)

    monkeypatch.setattr(Forward, "outputs", outputs)


def test_a_batch_that_does_not_fit_is_done_in_parts(pictures, tmp_path, monkeypatch):
    limit_memory(monkeypatch, 3)
    spec = options(training__epochs=2, training__precision="fp32")
    assert train(pictures, tmp_path / "short", spec) == 0
    warnings = of_kind(tmp_path / "short", "warning")
    halved = [event for event in warnings if "done in parts" in event["title"]]
    assert len(halved) == 2  # 8 → 4 → 2
    assert "At most 2".lower() in halved[-1]["detail"]
    assert "Tried to allocate 20.00 GiB" in halved[0]["detail"]
    monkeypatch.undo()
    wanted = options(
        training__epochs=2,
        training__precision="fp32",
        training__batch_size=2,
        training__accumulate_steps=4,
    )
    assert train(pictures, tmp_path / "asked", wanted) == 0
    ran, asked = numbers(tmp_path / "short"), numbers(tmp_path / "asked")
    assert ran == asked


def test_a_resumed_run_keeps_the_smaller_parts(pictures, tmp_path, monkeypatch):
    limit_memory(monkeypatch, 4, MemoryError)
    spec = options(training__precision="fp32")
    assert train(pictures, tmp_path / "whole", spec) == 0

    real, calls = Training._validate, iter(range(9))

    def end_in_the_second(self, rate):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return real(self, rate)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_validate", end_in_the_second)
        with pytest.raises(KeyboardInterrupt):
            train(pictures, tmp_path / "cut", spec)
    assert train(pictures, tmp_path / "cut", spec, resume_from=tmp_path / "cut") == 0
    started = of_kind(tmp_path / "cut", "run_started")[-1]
    assert started["resumed_from_step"] == 4
    assert started["resolved"]["images_at_once"] == 4
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")
    assert len([e for e in of_kind(tmp_path / "cut", "warning") if "parts" in e["title"]]) == 1


def test_an_evaluation_that_does_not_fit_is_done_in_smaller_batches(
    pictures, tmp_path, monkeypatch
):
    spec = options(training__epochs=2, training__precision="fp32")
    assert train(pictures, tmp_path / "whole", spec) == 0
    real = Forward.__call__

    def forward(self, inputs):
        if not torch.is_grad_enabled() and len(inputs) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, inputs)

    monkeypatch.setattr(Forward, "__call__", forward)
    assert train(pictures, tmp_path / "short", spec) == 0
    warnings = of_kind(tmp_path / "short", "warning")
    assert [event["title"].partition(":")[0] for event in warnings] == ["Out of memory"] * 4
    assert "4 at a time" in warnings[-1]["detail"]  # 64 → 32 → 16 → 8 → 4
    short, whole = numbers(tmp_path / "short"), numbers(tmp_path / "whole")
    assert short["steps"] == whole["steps"]
    for ours, theirs in zip(short["epochs"], whole["epochs"], strict=True):
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-4)


def test_not_even_one_image_in_memory_is_a_clear_failure(pictures, tmp_path, monkeypatch):
    limit_memory(monkeypatch, 0)
    assert train(pictures, tmp_path, options()) == 4
    (failed,) = of_kind(tmp_path, "run_failed")
    assert failed["title"] == "Out of memory"
    assert "Not even one image fits" in failed["detail"]
    assert "dataset.input_size_px" in failed["remedy"]


def test_other_errors_of_a_step_are_not_taken_for_memory(pictures, tmp_path, monkeypatch):
    limit_memory(monkeypatch, 3, RuntimeError)
    with pytest.raises(RuntimeError, match="Tried to allocate"):
        train(pictures, tmp_path, options())


def test_a_run_that_learns_nothing_is_warned_once_after_a_third(pictures, tmp_path):
    spec = options(optimizer__lr=1e-9, training__epochs=6, model__head={})
    assert train(pictures, tmp_path, spec) == 0
    said = [e for e in events(tmp_path) if e["kind"] in ("warning", "epoch_finished")]
    best = max(e["val_accuracy"] for e in said if e["kind"] == "epoch_finished")
    assert best < 0.4  # a third of the images are of each class
    index = [e.get("title") for e in said].index("The network hardly learns")
    assert len([e for e in said[:index] if e["kind"] == "epoch_finished"]) == 2
    assert "learning rate" in said[index]["remedy"]
    good = options(optimizer__lr=0.01, training__epochs=6, model__head={})
    assert train(pictures, tmp_path / "good", good) == 0
    assert of_kind(tmp_path / "good", "warning") == []


def test_wrong_class_weights_fail_the_run_by_name(pictures, tmp_path):
    assert train(pictures, tmp_path, options(loss__class_weights=[1, 2])) == 4
    (failed,) = of_kind(tmp_path, "run_failed")
    assert "`loss.class_weights` to be 3 numbers, one for each class" in failed["detail"]


@pytest.mark.parametrize(("asked", "found"), [(True, "where possible"), (False, "off")])
def test_a_gpu_chooses_faster_kernels_where_numbers_need_not_repeat(monkeypatch, asked, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "some GPU")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    choices = resolve.resolve(TrainingSpec(deterministic=asked), 1, 8)
    assert choices.deterministic == found
    assert resolve.restore(choices.describe()) == choices
    resolve.apply(choices)
    assert torch.are_deterministic_algorithms_enabled() == asked
    assert torch.backends.cudnn.benchmark != asked
    assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == asked


def test_a_cpu_repeats_its_numbers_whatever_is_asked(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    spec = options(training__deterministic=False, training__epochs=1)
    assert train(pictures, tmp_path, spec) == 0
    (started,) = of_kind(tmp_path, "run_started")
    assert started["resolved"]["deterministic"] == "on"
    notes = [event["message"] for event in of_kind(tmp_path, "log")]
    assert "`training.deterministic: false` changes nothing on a CPU." in notes


def test_a_run_meant_for_a_cpu_cannot_ask_for_a_gpus_kernels():
    with pytest.raises(InvalidInput) as caught:
        parse_spec(options(training__deterministic=False, training__device="cpu"))
    (problem,) = caught.value.errors
    assert (problem.field, problem.expected) == ("training.deterministic", "true on a CPU")


def test_fp16_without_a_gpu_is_refused_at_the_start(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train(pictures, tmp_path, options(training__precision="fp16")) == 4
    (failed,) = of_kind(tmp_path, "run_failed")
    assert failed["title"] == "fp16 needs a GPU"


def test_fp16_scales_the_loss_and_resumes_exactly(pictures, tmp_path, monkeypatch):
    # Run on the CPU, whose autocast knows fp16 too: only the refusal is taken away.
    monkeypatch.setattr(resolve, "precision_for", lambda *_: "fp16")
    spec = options(training__checkpoint_minutes=1e-6)
    assert train(pictures, tmp_path / "whole", spec) == 0
    state = CheckpointFolder(tmp_path / "whole").load_last()
    assert state is not None
    assert state.scaler["scale"] >= 1
    real, calls = Training._step, iter(range(100))

    def step(self, *args):
        if next(calls) == 6:
            raise KeyboardInterrupt
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_step", step)
        with pytest.raises(KeyboardInterrupt):
            train(pictures, tmp_path / "cut", spec)
    assert train(pictures, tmp_path / "cut", spec, resume_from=tmp_path / "cut") == 0
    assert of_kind(tmp_path / "cut", "run_started")[-1]["resumed_from_step"] == 6
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")
