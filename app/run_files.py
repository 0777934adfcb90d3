"""The files of a run that can be downloaded, by the names they have outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from store.rows import RunRow
from store.settings import Settings
from trainer.errors import NotFound

KNOWN: Mapping[str, tuple[str, str]] = {
    "best.safetensors": (
        "checkpoints/best.safetensors",
        "weights of the best epoch, as plain tensors",
    ),
    "last.pt": (
        "checkpoints/last.pt",
        "last checkpoint: weights, optimizer and where the run was",
    ),
    "val.npz": ("predictions/val.npz", "probabilities of every validation image"),
    "test.npz": ("predictions/test.npz", "probabilities of every test image"),
    "events.jsonl": ("events.jsonl", "all that the trainer said, a JSON object a line"),
    "spec.json": ("spec.json", "the spec as it was trained"),
    "environment.json": ("environment.json", "versions and machine"),
    "trainer.log": ("trainer.log", "what the trainer printed"),
}
"""Name outside → its place below the attempt's folder, and what it is."""


@dataclass(frozen=True)
class RunFile:
    """A file that is there."""

    name: str
    what: str
    size_bytes: int


def run_files(settings: Settings, run: RunRow) -> list[RunFile]:
    """Return the files of a run's newest attempt that are there."""
    found = []
    for name, (_, what) in KNOWN.items():
        path = _path(settings, run, name)
        if path is not None and path.is_file():
            found.append(RunFile(name, what, path.stat().st_size))
    return found


def run_file(settings: Settings, run: RunRow, name: str) -> Path:
    """Return the path of one of a run's files.

    Raises:
        NotFound: If it is none of those that can be downloaded, or is not there.
    """
    path = _path(settings, run, name)
    if path is None or not path.is_file():
        raise NotFound(
            f"Run {run.id} has no file `{name}`.",
            "It may have: " + ", ".join(KNOWN) + ".",
        )
    return path


def _path(settings: Settings, run: RunRow, name: str) -> Path | None:
    if run.external or not run.attempt or name not in KNOWN:
        return None
    return settings.attempt_dir(run.id, run.attempt) / KNOWN[name][0]
