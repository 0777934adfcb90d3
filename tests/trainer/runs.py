"""Tiny runs for tests: a dataset of generated pictures, specs, and what a run's events say."""

from __future__ import annotations

import copy
import json
import multiprocessing
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.pictures import write_pictures
from tests.trainer import faults
from trainer import run
from trainer.datasets.folder import scan_folder
from trainer.datasets.manifest import save_manifest

SPEC: dict[str, Any] = {
    "dataset": {"name": "pictures", "input_size_px": 16, "validation_fraction": 0.25},
    "model": {
        "architecture": "tuneboard/small_cnn",
        "weights": "none",
        "head": {"hidden": [16], "dropout": 0.2},
    },
    "optimizer": {"name": "adamw", "lr": 0.003},
    "scheduler": {"name": "cosine"},
    "augmentation": {"preset": "standard"},
    "training": {"epochs": 3, "batch_size": 8, "seed": 5},
}

# Metrics of a run; what else its events hold are times.
TIMES = ("time", "elapsed_s", "standalone_s", "seconds")
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["trainer.preload", "tests.trainer.faults"])


def make_dataset(folder: Path, per_class: int = 12) -> Path:
    """Write pictures and their manifest below `folder` and return the manifest's path."""
    manifest = scan_folder(write_pictures(folder / "images", per_class), "pictures")
    save_manifest(manifest, folder / "manifest.json")
    return folder / "manifest.json"


def spec_with(**changes: Any) -> dict[str, Any]:
    """Return the tiny spec with sections' keys replaced: `training__epochs=1`."""
    spec = copy.deepcopy(SPEC)
    for path, value in changes.items():
        section, _, key = path.partition("__")
        spec.setdefault(section, {})[key] = value
    return spec


def write_spec(folder: Path, spec: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "asked.json"
    path.write_text(json.dumps(spec))
    return path


def train(
    manifest: Path, out: Path, spec: dict[str, Any] | None = None, resume_from: Path | None = None
) -> int:
    """Run one attempt in this process and return its exit code."""
    return run.main(write_spec(out, SPEC if spec is None else spec), manifest, out, resume_from)


def start_child(
    manifest: Path,
    out: Path,
    spec: dict[str, Any] | None = None,
    resume_from: Path | None = None,
    fault: str = "none",
    nth: int = 1,
) -> ForkServerProcess:
    """Start one attempt in a process of its own, with a fault to come."""
    path = write_spec(out, SPEC if spec is None else spec)
    process = WARM.Process(
        target=faults.run_with_fault, args=(fault, nth, path, manifest, out, resume_from)
    )
    process.start()
    return process


def events(out: Path) -> list[dict[str, Any]]:
    """Return the events of an attempt; a last line that is being written is left out."""
    lines = (out / "events.jsonl").read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def of_kind(out: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in events(out) if event["kind"] == kind]


def numbers(out: Path) -> dict[str, Any]:
    """Return everything an attempt measured, without its times."""
    found: dict[str, Any] = {"steps": {}, "epochs": [], "evaluated": [], "finished": []}
    for event in events(out):
        plain = {key: value for key, value in event.items() if key not in TIMES}
        match event["kind"]:
            case "steps_recorded":
                for step, loss, rate in zip(
                    event["steps"], event["loss"], event["learning_rate"], strict=True
                ):
                    assert step not in found["steps"], "a step was recorded twice"
                    found["steps"][step] = (event["epoch"], loss, rate)
            case "epoch_finished":
                found["epochs"].append(plain)
            case "evaluated":
                found["evaluated"].append(plain)
            case "run_finished":
                found["finished"].append(plain)
    found["files"] = {
        path.name: path.read_bytes()
        for path in [*(out / "predictions").iterdir(), out / "checkpoints" / "best.safetensors"]
    }
    return found


def files_below(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
