"""A run's model after training: predictions of new images, exported files, and what they equal."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from PIL import Image
from safetensors import safe_open

from tests.trainer.runs import spec_with, train
from trainer import export, onnx_export, predict
from trainer.datasets.manifest import load_manifest
from trainer.errors import InvalidInput, RunFailure
from trainer.onnx_export import in_fp32
from trainer.trained import load_exported, load_trained


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("trained") / "attempt-001"
    assert train(pictures, out, spec_with(training__epochs=1, training__precision="fp32")) == 0
    return out


@pytest.fixture(scope="module")
def frozen_run(run, pictures, tmp_path_factory) -> Path:
    """A finished run whose head alone was trained, on kept features in bf16; its weights gone."""
    folder = tmp_path_factory.mktemp("frozen")
    out, first = folder / "attempt-001", folder / "first.safetensors"
    shutil.copy(run / "checkpoints" / "best.safetensors", first)
    spec = spec_with(
        model__weights=str(first),
        freeze__layers="backbone",
        augmentation__preset="none",
        training__epochs=1,
        training__precision="bf16",
    )
    assert train(pictures, out, spec) == 0
    first.unlink()
    return out


@pytest.fixture(scope="module")
def tapped_run(pictures, tmp_path_factory) -> Path:
    """A finished run whose network is cut short at a module in its middle."""
    out = tmp_path_factory.mktemp("tapped") / "attempt-001"
    spec = spec_with(
        model__architecture="tuneboard/simple_cnn",
        model__head={"hidden": [8], "tap": "features.0"},
        training__epochs=1,
    )
    assert train(pictures, out, spec) == 0
    return out


def recorded(run: Path, split: str = "val") -> tuple[list[str], torch.Tensor]:
    with np.load(run / "predictions" / f"{split}.npz") as found:
        return [str(name) for name in found["ids"]], torch.from_numpy(found["probabilities"])


def files_of(manifest: Path, ids: list[str]) -> list[Path]:
    return [Path(load_manifest(manifest).root) / name for name in ids]


@pytest.mark.parametrize("which", ["run", "frozen_run", "tapped_run"])
def test_a_loaded_model_gives_the_recorded_predictions_exactly(which, pictures, request):
    attempt = request.getfixturevalue(which)
    ids, expected = recorded(attempt)
    model = load_trained(attempt)
    assert torch.equal(torch.cat(list(model.of_files(files_of(pictures, ids)))), expected)


@pytest.mark.parametrize("which", ["run", "frozen_run", "tapped_run"])
def test_an_exported_safetensors_file_gives_the_recorded_predictions_exactly(
    which, pictures, request, tmp_path
):
    attempt = request.getfixturevalue(which)
    file = tmp_path / "model.safetensors"
    said = export.export(attempt, pictures, file, "safetensors")
    assert said["largest_difference"] == said["largest_difference_from_recorded"] == 0
    assert said["size_bytes"] == file.stat().st_size
    ids, expected = recorded(attempt)
    model = load_exported(file)
    assert torch.equal(torch.cat(list(model.of_files(files_of(pictures, ids)))), expected)


@pytest.mark.parametrize("which", ["run", "frozen_run", "tapped_run"])
def test_an_exported_torchscript_program_gives_the_recorded_predictions(
    which, pictures, request, tmp_path
):
    attempt = request.getfixturevalue(which)
    file = tmp_path / "model.pt"
    said = export.export(attempt, pictures, file, "torchscript")
    assert said["checked_images"] == 9
    ids, expected = recorded(attempt)
    model = load_trained(attempt)
    about = {export.EXTRA_FILE: ""}
    with export._quiet_jit():
        program = torch.jit.load(str(file), _extra_files=about)
    with torch.inference_mode():
        logits = program(model.inputs([model.prepare(f) for f in files_of(pictures, ids)]))
    assert torch.equal(logits.double().softmax(dim=1).float(), expected)
    assert json.loads(json.loads(about[export.EXTRA_FILE])["classes"]) == list(model.classes)


@pytest.mark.parametrize("which", ["run", "frozen_run", "tapped_run"])
def test_an_exported_onnx_program_agrees_at_any_batch_size(which, pictures, request, tmp_path):
    attempt = request.getfixturevalue(which)
    file = tmp_path / "model.onnx"
    said = export.export(attempt, pictures, file, "onnx")
    assert said["checked_images"] == 9
    assert said["precision"] == "fp32"
    assert said["largest_difference"] < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    ids, _ = recorded(attempt)
    model = in_fp32(load_trained(attempt))
    squares = [model.prepare(f) for f in files_of(pictures, ids)]
    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for count in (1, 4, 9):
        inputs = model.inputs(squares[:count]).contiguous().numpy()
        (logits,) = session.run(None, {"images": inputs})
        found = torch.from_numpy(logits).softmax(dim=1)
        assert torch.allclose(found, model.probabilities(squares[:count]), atol=1e-5)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == list(model.classes)
    assert json.loads(about["preprocessing"])["input_size_px"] == model.network.form.size_px


def test_onnx_without_its_packages_names_the_command(run, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "PACKAGES", ("onnx", "not_installed_here"))
    with pytest.raises(RunFailure, match="pip install not_installed_here"):
        export.export(run, pictures, tmp_path / "model.onnx", "onnx")


def test_a_network_that_onnx_cannot_hold_is_refused(run, pictures, tmp_path, monkeypatch):
    def give_up(*_args, **_options):
        raise RuntimeError("no such operator\nand a long trace")

    monkeypatch.setattr(torch.onnx, "export", give_up)
    with pytest.raises(RunFailure, match=r"gave up on `tuneboard/small_cnn`: no such operator\."):
        export.export(run, pictures, tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_metadata_of_an_exported_file_says_how_to_use_it(run, pictures, tmp_path):
    export.export(run, pictures, tmp_path / "m.safetensors", "safetensors")
    with safe_open(tmp_path / "m.safetensors", framework="pt") as opened:
        said = opened.metadata()
    assert json.loads(said["classes"]) == list(load_manifest(pictures).classes)
    preprocessing = json.loads(said["preprocessing"])
    assert preprocessing["input_size_px"] == 16
    assert len(preprocessing["mean"]) == len(preprocessing["std"]) == 3
    assert json.loads(said["spec"])["model"]["architecture"] == "tuneboard/small_cnn"


def test_preprocessing_is_the_recorded_one_not_that_of_random_weights(run, pictures, tmp_path):
    attempt = shutil.copytree(run, tmp_path / "attempt-001")
    text = (attempt / "events.jsonl").read_text()
    first = json.loads(text.splitlines()[0])
    assert first["kind"] == "run_started"
    first["resolved"] |= {"mean": [0.1, 0.2, 0.3], "resize_px": 20, "interpolation": "bicubic"}
    rest = text.splitlines()[1:]
    line = json.dumps(first, separators=(",", ":"))
    (attempt / "events.jsonl").write_text("\n".join([line, *rest]) + "\n")
    form = load_trained(attempt).network.form
    assert (form.mean, form.resize_px, form.interpolation) == ((0.1, 0.2, 0.3), 20, "bicubic")


def test_a_disagreeing_export_is_not_handed_out(run, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_run_torchscript", lambda *_: torch.zeros(9, 3))
    with pytest.raises(RunFailure, match="differ by up to"):
        export.export(run, pictures, tmp_path / "model.pt", "torchscript")
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_gone_are_named(run, pictures, tmp_path):
    attempt = shutil.copytree(run, tmp_path / "attempt-001")
    (attempt / "checkpoints" / "best.safetensors").unlink()
    with pytest.raises(RunFailure, match=r"best\.safetensors"):
        load_trained(attempt)
    (tmp_path / "not-ours.safetensors").write_bytes(b"no")
    with pytest.raises(RunFailure, match="cannot be read as a model"):
        load_exported(tmp_path / "not-ours.safetensors")
    moved = tmp_path / "elsewhere.json"
    moved.write_text(pictures.read_text().replace("images", "gone"))
    with pytest.raises(RunFailure, match="is needed to check"):
        export.export(run, moved, tmp_path / "m.safetensors", "safetensors")


def test_a_folder_of_unlabelled_images_becomes_percentages(run, pictures, tmp_path):
    ids, expected = recorded(run)
    folder = tmp_path / "new"
    for number, file in enumerate(files_of(pictures, ids)):
        (folder / "deeper").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / "deeper" / f"{number}.png")
    (folder / "broken.png").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("not looked at")
    found = predict.find_pictures([folder])
    said = predict.classify(run, found, tmp_path / "out.csv")
    assert said["total"] == 9
    assert [one["file"] for one in said["predictions"]] == [f"deeper/{n}.png" for n in range(9)]
    assert [one["probabilities"] for one in said["predictions"]] == expected.tolist()
    assert [one["file"] for one in said["skipped"]] == ["broken.png"]
    rows = list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
    assert rows[0] == ["file", "predicted", *(f"{name} %" for name in said["classes"])]
    assert len(rows) == 10
    assert sum(map(float, rows[1][2:])) == pytest.approx(100, abs=0.01)
    assert rows[1][1] == said["classes"][int(expected[0].argmax())]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        Image.new("RGB", (8, 8)).save(folder / f"{folder.name}.png")
    (inside / "link.png").symlink_to(outside / "outside.png")
    found = predict.find_pictures([inside], roots=[inside])
    assert [picture.name for picture in found.pictures] == ["inside.png"]
    assert [name for name, _ in found.skipped] == ["link.png"]


def test_nothing_to_classify_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="exists"):
        predict.find_pictures([tmp_path / "none"])
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"bad\.png"):
        predict.find_pictures([tmp_path])


def test_the_programs_answer_in_their_last_line(run, pictures, tmp_path):
    def ask(module: str, *arguments: object) -> tuple[int, dict]:
        done = subprocess.run(
            [sys.executable, "-m", module, "--run-dir", str(run), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        *progress, line = done.stdout.splitlines()
        assert all(json.loads(one).keys() == {"what", "done", "total"} for one in progress)
        return done.returncode, json.loads(line)

    ids, _ = recorded(run)
    listing = tmp_path / "listing.json"
    listing.write_text(json.dumps([["mine.jpg", str(files_of(pictures, ids)[0])]]))
    code, said = ask("trainer.predict", "--listing", listing, "--out", tmp_path / "p.csv")
    assert code == 0
    assert said["ready"]["predictions"][0]["file"] == "mine.jpg"
    code, said = ask("trainer.predict", "--out", tmp_path / "p.csv", tmp_path / "none.png")
    assert (code, said["failed"]["errors"][0]["field"]) == (1, "paths")
    file = tmp_path / "m.safetensors"
    code, said = ask("trainer.export", "--data", pictures, "--format", "safetensors", "--out", file)
    assert (code, said["ready"]["checked_images"]) == (0, 9)
    assert file.exists()


def test_archives_among_the_images_are_unpacked_and_it_is_said_how_far_it_is(run, tmp_path):
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "one.png")
    with zipfile.ZipFile(tmp_path / "more", "w") as archive:
        archive.write(tmp_path / "one.png", "deep/two.png")
    (tmp_path / "bad").write_bytes(b"PK\x03\x04 and no more")
    listing = [["one.png", str(tmp_path / "one.png")], ["more.zip", str(tmp_path / "more")]]
    listing.append(["bad.zip", str(tmp_path / "bad")])
    (tmp_path / "listing.json").write_text(json.dumps(listing))
    found = predict.listed_pictures(tmp_path / "listing.json")
    assert [picture.name for picture in found.pictures] == ["one.png", "deep/two.png"]
    assert [name for name, _ in found.skipped] == ["bad.zip"]
    told = []
    predict.classify(run, found, tmp_path / "out.csv", say=told.append)
    assert told[0] == {"what": "classifying images", "done": 2, "total": 2}


@pytest.mark.parametrize("form", ["safetensors", "torchscript", "onnx"])
def test_the_code_beside_an_export_runs(form, run, pictures, tmp_path, monkeypatch, capsys):
    from app.pages.run_downloads import SUFFIXES, snippet

    export.export(run, pictures, tmp_path / f"run-7.{SUFFIXES[form]}", form)
    ids, expected = recorded(run)
    shutil.copy(files_of(pictures, ids)[0], tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    with export._quiet_jit():
        exec(compile(snippet(form, 7), form, "exec"), {})  # noqa: S102 - what the page shows
    name, share, _ = capsys.readouterr().out.replace("%", " %").split()
    best = int(expected[0].argmax())
    assert name == load_trained(run).classes[best]
    assert float(share) == pytest.approx(100 * float(expected[0, best]), abs=1.0)
