"""A run that was killed and resumed ends with the numbers of one that was not."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.trainer.runs import (
    SPEC,
    events,
    files_below,
    numbers,
    of_kind,
    spec_with,
    start_child,
    train,
)

SECONDS_TO_END = 60


def finish(process):
    process.join(SECONDS_TO_END)
    assert process.exitcode is not None, "the trainer hangs"
    return process.exitcode


@pytest.fixture(scope="module")
def undisturbed(pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    assert finish(start_child(pictures, out)) == 0
    return numbers(out)


def assert_same_end(out, undisturbed):
    assert numbers(out) == undisturbed
    assert files_below(out) == {
        "asked.json",
        "checkpoints/best.safetensors",
        "checkpoints/last.pt",
        "environment.json",
        "events.jsonl",
        "predictions/val.npz",
        "spec.json",
    }


def test_the_undisturbed_run_measured_every_step_and_epoch(undisturbed):
    assert sorted(undisturbed["steps"]) == list(range(1, 13))
    assert [epoch["epoch"] for epoch in undisturbed["epochs"]] == [1, 2, 3]
    assert len({loss for _, loss, _ in undisturbed["steps"].values()}) == 12
    assert len(undisturbed["evaluated"]) == len(undisturbed["finished"]) == 1


@pytest.mark.parametrize(
    ("fault", "nth", "resume_step", "elsewhere"),
    [
        ("in mid-epoch", 1, 8, False),
        ("in validation", 1, 0, False),
        ("in validation", 2, 4, True),
        ("between best and last", 1, 0, False),
        ("between best and last", 2, None, True),
        ("events synced", 2, 4, False),
        ("half a checkpoint", 2, 4, False),
        ("half a checkpoint", 2, 4, True),
        ("before the replace", 2, 4, True),
        ("after the replace", 2, 8, False),
        ("before predictions", 1, 12, True),
        ("after predictions", 1, 12, False),
        ("after the final weights", 1, 12, False),
        ("after the final weights", 1, 12, True),
    ],
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    pictures, undisturbed, tmp_path, fault, nth, resume_step, elsewhere
):
    first = tmp_path / "attempt-001"
    second = tmp_path / "attempt-002" if elsewhere else first
    killed = start_child(pictures, first, fault=fault, nth=nth)
    assert finish(killed) == -signal.SIGKILL
    assert finish(start_child(pictures, second, resume_from=first)) == 0
    assert_same_end(second, undisturbed)
    started = of_kind(second, "run_started")[-1]
    if resume_step is not None:
        assert started["resumed_from_step"] == (resume_step or None)


def test_a_run_killed_again_and_again_still_ends_the_same(pictures, undisturbed, tmp_path):
    before = None
    for number, (fault, nth) in enumerate(
        [("in mid-epoch", -3), ("half a checkpoint", 1), ("after the replace", 1)]
    ):
        out = tmp_path / f"attempt-{number}"
        assert finish(start_child(pictures, out, None, before, fault, nth)) == -signal.SIGKILL
        before = out
    assert finish(start_child(pictures, tmp_path / "last", None, before)) == 0
    assert_same_end(tmp_path / "last", undisturbed)


def test_sigterm_checkpoints_in_mid_epoch_and_the_run_goes_on_exactly(
    pictures, undisturbed, tmp_path
):
    first, second = tmp_path / "attempt-001", tmp_path / "attempt-002"
    process = start_child(pictures, first, fault="slow steps")
    deadline = time.monotonic() + SECONDS_TO_END
    while not any(event["step"] >= 6 for event in of_kind_or_none(first, "progress")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    assert finish(process) == 3
    last = events(first)[-1]
    assert last["kind"] == "checkpointed"
    assert 6 <= last["step"] < 12
    assert finish(start_child(pictures, second, resume_from=first)) == 0
    assert of_kind(second, "run_started")[-1]["resumed_from_step"] == last["step"]
    assert_same_end(second, undisturbed)


def of_kind_or_none(out, kind):
    return of_kind(out, kind) if (out / "events.jsonl").exists() else []


def test_sigterm_before_training_ends_at_once(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "trainer.attempt.build_network", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    assert train(pictures, tmp_path) == 3
    assert not (tmp_path / "checkpoints").exists()


def test_a_frozen_run_with_kept_features_resumes_exactly(pictures, tmp_path):
    spec = spec_with(
        model__architecture="timm/tf_efficientnet_lite0",
        model__weights="package",
        freeze__layers="backbone",
        augmentation__preset="flip",
        dataset__input_size_px=32,
        optimizer__lr=0.01,
    )
    assert finish(start_child(pictures, tmp_path / "whole", spec)) == 0
    killed = start_child(pictures, tmp_path / "cut", spec, fault="before the replace", nth=3)
    assert finish(killed) == -signal.SIGKILL
    assert finish(start_child(pictures, tmp_path / "cut", spec, tmp_path / "cut")) == 0
    assert_same_end(tmp_path / "cut", numbers(tmp_path / "whole"))
    started = of_kind(tmp_path / "cut", "run_started")
    assert [event["resolved"]["feature_variants"] for event in started] == [2, 2]
    size = (tmp_path / "cut" / "checkpoints" / "last.pt").stat().st_size
    assert size < 1_000_000, "the backbone that never moves is not written again and again"


def test_a_checkpoint_of_another_spec_is_refused(pictures, tmp_path):
    assert train(pictures, tmp_path) == 0
    other = spec_with(optimizer__lr=0.1)
    assert train(pictures, tmp_path, other, resume_from=tmp_path) == 4
    failed = of_kind(tmp_path, "run_failed")[-1]
    assert failed["title"] == "The checkpoint is of another spec"


def test_an_unreadable_checkpoint_means_a_fresh_start(pictures, tmp_path, undisturbed):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").write_bytes(b"not a checkpoint")
    (tmp_path / "events.jsonl").write_text("leftovers\n")
    assert finish(start_child(pictures, tmp_path, SPEC, resume_from=tmp_path)) == 0
    assert_same_end(tmp_path, undisturbed)


def test_choices_of_the_first_attempt_are_kept(pictures, tmp_path, monkeypatch):
    spec = spec_with(training__precision="auto")
    monkeypatch.setattr("trainer.resolve.cpu_has_bf16", lambda: True)
    assert train(pictures, tmp_path, spec) == 0
    monkeypatch.setattr("trainer.resolve.cpu_has_bf16", lambda: False)
    assert train(pictures, tmp_path, spec, resume_from=tmp_path) == 0
    resolved = [event["resolved"] for event in of_kind(tmp_path, "run_started")]
    assert [found["precision"] for found in resolved] == ["bf16", "bf16"]
