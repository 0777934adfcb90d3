"""`tuneboard train`: one run on this machine, without a server, a database or a queue."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from store.settings import Settings
from trainer.datasets.catalogue import catalogue_entries
from trainer.datasets.folder import scan_folder
from trainer.datasets.manifest import Manifest, load_manifest, save_manifest
from trainer.datasets.prepare import prepare
from trainer.errors import Conflict, FieldError, InvalidInput, RunFailure, TuneboardError
from trainer.events import Event, RunFailed, RunFinished, parse_event
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec, flat_fields
from tuneboard.console import complain, percent, say, seconds
from tuneboard.place import load_settings
from tuneboard.recipe import load_yaml
from tuneboard.watch import ProgressBars

SUCCEEDED = 0
INTERRUPTED = 3  # the trainer's own codes; see trainer.run
FAILED = 4
RESULTS_DIR = Path("tuneboard-runs")
_LOOK_S = 0.2
_RUN = 1  # the bars want a number


@dataclass(frozen=True)
class _Files:
    """What lies where in the folder of results."""

    out: Path

    @property
    def spec(self) -> Path:
        return self.out / "spec.json"

    @property
    def manifest(self) -> Path:
        return self.out / "dataset" / "manifest.json"

    @property
    def events(self) -> Path:
        return self.out / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.out / "trainer.log"

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoints" / "last.pt"


def train_here(spec_path: Path, data: Path | None, out: Path | None) -> int:
    """Train the spec in a file and print the result; return the exit status.

    Args:
        spec_path: A YAML file.
        data: Folder of images; None: the spec's dataset out of the catalogue.
        out: Folder for the results, where an interrupted run of the same spec is carried on.

    Raises:
        InvalidInput: If something is wrong with the spec or the images.
        Conflict: If `out` holds the results of another spec.
    """
    spec = parse_spec(load_yaml(spec_path))
    settings = load_settings()
    files = _Files((out or RESULTS_DIR / _slug(spec.display_name())).absolute())
    _check_place(files, spec)
    found = _scan(spec, data, files)
    files.out.mkdir(parents=True, exist_ok=True)
    files.spec.write_text(json.dumps(spec.model_dump(mode="json"), indent=2))
    manifest = _prepare(spec, found, files, settings)
    finished = _finished(files)
    if finished is not None:
        say(f"The run in {files.out} has already finished; choose another folder to repeat it.")
        _print_result(finished, files)
        return 0
    return _train(spec, manifest, files)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "run"


def _check_place(files: _Files, spec: ExperimentSpec) -> None:
    """Check that the folder of results is new, or this spec's.

    Raises:
        Conflict: If it is another one's.
    """
    if files.spec.exists():
        there = flat_fields(json.loads(files.spec.read_text()))
        asked = flat_fields(spec.model_dump(mode="json"))
        different = [path for path in asked if there.get(path) != asked[path]]
        if different:
            path = different[0]
            raise Conflict(
                f"{files.out} holds a run of another spec: `{path}` is {there.get(path)!r} there "
                f"and {asked[path]!r} here.",
                "Choose another folder with --out.",
            )
    elif files.out.exists() and (not files.out.is_dir() or any(files.out.iterdir())):
        raise Conflict(f"{files.out} holds other files.", "Choose another folder with --out.")


def _scan(spec: ExperimentSpec, data: Path | None, files: _Files) -> Manifest | None:
    """Return the images in the folder given, or None where the catalogue has the spec's.

    Raises:
        InvalidInput: If the folder cannot be used, or the catalogue has no such dataset.
        Conflict: If the run in `files` began with other images.
    """
    if data is None:
        names = [entry.name for entry in catalogue_entries()]
        if spec.dataset.name in names:
            return None
        expected = "one of the catalogue's (" + ", ".join(names) + ") where --data is left out"
        remedy = "Name the folder of its images with --data."
        raise InvalidInput.of(FieldError("dataset.name", spec.dataset.name, expected, remedy))
    found = scan_folder(data, spec.dataset.name, field="--data")
    if files.manifest.exists() and load_manifest(files.manifest).fingerprint != found.fingerprint:
        raise Conflict(
            f"The images in {data} are not those that the run in {files.out} began with.",
            "Choose another folder for the results with --out.",
        )
    return found


def _prepare(
    spec: ExperimentSpec, found: Manifest | None, files: _Files, settings: Settings
) -> Path:
    """Return the manifest's file: of the images found, or of the catalogue's, fetched once."""
    if found is not None:
        files.manifest.parent.mkdir(exist_ok=True)
        save_manifest(found, files.manifest)
    elif not files.manifest.exists():
        say(f"Preparing {spec.dataset.name}…")
        prepare(
            "catalogue",
            spec.dataset.name,
            spec.dataset.name,
            files.manifest.parent,
            mirror=settings.dataset_mirror,
            downloads=settings.datasets_dir / "downloads",
        )
    return files.manifest


def _finished(files: _Files) -> RunFinished | None:
    """Return the event that ended the run in this folder, if it has ended well."""
    if not files.events.exists():
        return None
    ends = [e for e in _parsed(files.events.read_bytes()) if isinstance(e, RunFinished)]
    return ends[-1] if ends else None


def _train(spec: ExperimentSpec, manifest: Path, files: _Files) -> int:
    command = [sys.executable, "-m", "trainer", "--spec", str(files.spec)]
    command += ["--data", str(manifest), "--out", str(files.out)]
    if files.checkpoint.exists():
        say(f"Carrying on the run in {files.out}.")
        command += ["--resume-from", str(files.out)]
    ours, theirs = socket.socketpair()
    with ours, files.log.open("ab") as log:
        with theirs:
            process = subprocess.Popen(
                [*command, "--control-fd", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},  # see tuneboard.up
                start_new_session=True,  # a Ctrl-C reaches us alone; we pass on a request to stop
            )
        last = _follow(process, ours, spec, files)
    if process.returncode == SUCCEEDED and isinstance(last, RunFinished):
        _print_result(last, files)
        return 0
    if process.returncode == INTERRUPTED:
        say("Stopped; the same command carries on from the last checkpoint.")
        return 130
    if process.returncode == FAILED and isinstance(last, RunFailed):
        complain(RunFailure(last.title, last.detail, last.remedy))
        return 1
    tail = "\n".join(files.log.read_text(errors="replace").splitlines()[-15:])
    complain(TuneboardError(f"The trainer ended with status {process.returncode}:\n{tail}"))
    return 1


def _follow(
    process: subprocess.Popen[bytes], control: socket.socket, spec: ExperimentSpec, files: _Files
) -> Event | None:
    """Show the run's events until its process has ended; return the one it ended with."""
    last: Event | None = None
    with ProgressBars({_RUN: spec.display_name()}) as bars:
        for event in _events(process, control, files):
            bars.event(_RUN, event.kind, event.model_dump())
            if isinstance(event, RunFinished | RunFailed):
                last = event
    return last


def _events(
    process: subprocess.Popen[bytes], control: socket.socket, files: _Files
) -> Iterator[Event]:
    """Yield what the trainer appends, until it has ended and everything is read.

    The first Ctrl-C asks it to stop after a checkpoint, the second ends it.
    """
    offset: int | None = None
    ended = False
    while not ended:
        try:
            ended = process.poll() is not None
            if offset is None:
                offset = _first_offset(control)
            elif not ended:
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            if process.poll() is None:
                say("Stopping…")
                os.killpg(process.pid, signal.SIGTERM)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
        if offset is not None and files.events.exists():
            with files.events.open("rb") as file:
                file.seek(offset)
                new = file.read()
            complete = new[: new.rfind(b"\n") + 1]
            offset += len(complete)
            yield from _parsed(complete)


def _first_offset(control: socket.socket) -> int | None:
    """Return where the trainer's new events begin; None while it has not said so."""
    control.settimeout(_LOOK_S)
    try:
        line = control.recv(4096)
    except TimeoutError:
        return None
    return int(json.loads(line)["events_offset"]) if line else 0


def _parsed(lines: bytes) -> list[Event]:
    return [parse_event(line) for line in lines.splitlines()]


def _print_result(finished: RunFinished, files: _Files) -> None:
    typer.echo(
        f"best validation accuracy {percent(finished.best_val_accuracy)} "
        f"at epoch {finished.best_epoch} of {finished.epochs}, {seconds(finished.elapsed_s)}"
    )
    say(f"Weights, predictions and events are in {files.out}.")
