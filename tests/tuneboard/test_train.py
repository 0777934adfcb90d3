"""`tuneboard train`: the trainer alone, its result, its resume and its refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pictures import write_pictures
from tests.tuneboard.processes import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("whole")]

SPEC = """
name: colours from scratch
dataset: {{name: colours, input_size_px: 24}}
model: {{architecture: tuneboard/small_cnn, weights: none}}
training: {{epochs: {epochs}, batch_size: 8}}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "colours")


def spec(tmp_path: Path, epochs: int = 2, more: str = "") -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(epochs=epochs) + more)
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "tuneboard", "train", *(str(part) for part in arguments)]


def train(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=cwd,
        env=environment,
    )


def kinds(out: Path) -> list[str]:
    lines = (out / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["kind"] for line in lines]


def test_it_trains_prints_the_result_and_repeats_nothing_that_is_done(
    tmp_path: Path, data: Path
) -> None:
    ran = train(spec(tmp_path), "--data", data, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("best validation accuracy ")
    assert "epoch 2/2" in ran.stderr
    out = tmp_path / "tuneboard-runs" / "colours-from-scratch"
    assert (out / "checkpoints" / "best.safetensors").exists()
    assert kinds(out)[-1] == "run_finished"

    again = train(spec(tmp_path), "--data", data, "--out", out)
    assert again.returncode == 0
    assert "already finished" in again.stderr
    assert again.stdout == ran.stdout

    other = train(spec(tmp_path, epochs=3), "--data", data, "--out", out)
    assert other.returncode == 2
    assert "`training.epochs` is 2 there and 3 here" in other.stderr

    write_pictures(data / "more").rename(data / "violet")
    changed = train(spec(tmp_path), "--data", data, "--out", out)
    assert changed.returncode == 2


def test_an_interrupted_run_is_carried_on(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "out"
    arguments = (spec(tmp_path, epochs=120), "--data", data, "--out", out)
    with (tmp_path / "console").open("wb") as console:
        process = subprocess.Popen(command(*arguments), stderr=console, start_new_session=True)
    events = out / "events.jsonl"
    until(lambda: events.exists() and kinds(out).count("checkpointed") >= 2, 120, "under way")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert "carries on" in (tmp_path / "console").read_text()
    assert "run_finished" not in kinds(out)

    ran = train(*arguments)
    assert ran.returncode == 0, ran.stderr
    assert "Carrying on" in ran.stderr
    assert kinds(out).count("epoch_finished") == 120


def test_a_dataset_of_the_catalogue_needs_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "dataset: {name: digits, input_size_px: 8}\n"
        "model: {architecture: tuneboard/small_cnn, weights: none}\n"
        "training: {epochs: 1, batch_size: 256}\n"
    )
    ran = train(path, "--out", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    assert "best validation accuracy" in ran.stdout


def test_a_run_that_fails_says_why_and_exits_1(tmp_path: Path, data: Path) -> None:
    wrong = tmp_path / "spec.yaml"
    wrong.write_text(
        "dataset: {name: colours, input_size_px: 32}\n"
        "model: {architecture: resnet18, weights: /nowhere/mine.safetensors}\n"
    )
    ran = train(wrong, "--data", data, "--out", tmp_path / "out")
    assert ran.returncode == 1
    assert "/nowhere/mine.safetensors" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("more", "arguments", "said"),
    [
        ("optimizer: {lr: 30}", (), "`optimizer.lr`"),
        ("", (), "`dataset.name`"),
        ("", ("--data", "/nowhere"), "/nowhere"),
    ],
    ids=["spec", "no such dataset in the catalogue", "no such folder"],
)
def test_bad_input_exits_2_and_leaves_nothing(
    tmp_path: Path, more: str, arguments: tuple[str, ...], said: str
) -> None:
    ran = train(spec(tmp_path, more=more), *arguments, "--out", tmp_path / "out")
    assert ran.returncode == 2, ran.stderr
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, data: Path) -> None:
    ran = train(spec(tmp_path), "--data", data, "--out", data)
    assert ran.returncode == 2
    assert "holds other files" in ran.stderr
