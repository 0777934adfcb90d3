"""One attempt as a process: exit codes, signals, failures that become events.

`python -m trainer` and the children of the worker's fork server both come in through `main`.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from trainer.attempt import Attempt
from trainer.checkpoint import CheckpointFolder, State
from trainer.datasets.manifest import load_manifest
from trainer.errors import RunFailure, TuneboardError
from trainer.eventlog import EventLog
from trainer.events import RunFailed
from trainer.kept_features import FOLDER
from trainer.parsing import parse_spec_text
from trainer.process import log_to_stderr
from trainer.stepper import first_line, is_out_of_memory
from trainer.watch import Interrupted, StopRequest, greet_supervisor

_LOG = logging.getLogger(__name__)

SUCCEEDED, INTERRUPTED, FAILED = 0, 3, 4


def main(
    spec_path: str | os.PathLike[str],
    manifest_path: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    resume_from: str | os.PathLike[str] | None = None,
    control_fd: int | None = None,
) -> int:
    """Run one attempt and return the process's exit code.

    Args:
        spec_path: An `ExperimentSpec` as YAML or JSON.
        manifest_path: The dataset's manifest.json. Features of frozen backbones are kept beside it.
        out_dir: The attempt's folder, made where it is missing.
        resume_from: Folder of the attempt to go on from; without a checkpoint in it the run
            starts from the beginning.
        control_fd: A socket to the supervisor. It is told where the run goes on from, and
            watched: when its other end closes, the trainer's whole process group ends.

    Returns:
        0 where the run succeeded, 3 after SIGTERM (with a checkpoint once training has begun),
        4 where a `run_failed` event says what its user can mend. Anything else is raised: a crash.
    """
    if control_fd is not None:
        with suppress(PermissionError):  # already the leader of its group
            os.setsid()
        os.dup2(2, 1)  # a library's print must not reach the supervisor's standard output
        log_to_stderr()  # for the fork server's children, which come in here first
    stop = StopRequest()
    try:
        stop.install()
        checkpoints = CheckpointFolder(Path(out_dir).absolute())
        checkpoints.attempt.mkdir(parents=True, exist_ok=True)
        state = _take_up(checkpoints, resume_from)
        offset, step, epochs = 0, 0, 0
        if state is not None:
            offset, step, epochs = state.events_bytes, state.step, state.epoch - 1
        log = EventLog(checkpoints.attempt, offset)
        if control_fd is not None:
            greet_supervisor(control_fd, offset, step, epochs)
        try:
            return _attempt(Path(spec_path), Path(manifest_path), checkpoints, state, log, stop)
        finally:
            log.close()
    except Interrupted:
        return INTERRUPTED


def _take_up(
    checkpoints: CheckpointFolder, resume_from: str | os.PathLike[str] | None
) -> State | None:
    """Return the state to go on from, its files in this attempt's folder; tidy the folder."""
    state = None
    if resume_from is not None:
        other = CheckpointFolder(Path(resume_from).absolute())
        is_other = other.attempt.resolve() != checkpoints.attempt.resolve()
        if is_other:
            checkpoints.link_last(other)
        state = checkpoints.load_last()
        if state is not None and is_other:
            checkpoints.adopt(other, state)
    checkpoints.prune([state.best_file() if state else None])
    return state


def _attempt(
    spec_path: Path,
    manifest_path: Path,
    checkpoints: CheckpointFolder,
    state: State | None,
    log: EventLog,
    stop: StopRequest,
) -> int:
    """Run the attempt; failures that a user can mend become its last event."""
    failure: TuneboardError
    try:
        spec = parse_spec_text(spec_path.read_text(encoding="utf-8"))
        manifest = load_manifest(manifest_path)
        features = manifest_path.parent / FOLDER
        Attempt(spec, manifest, checkpoints, state, log, stop, features).run()
    except TuneboardError as error:
        failure = error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        failure = _out_of_memory(error)
    else:
        return SUCCEEDED
    _LOG.info("failed: %s", failure)
    log.say(
        RunFailed(
            time=time.time(), title=failure.title, detail=failure.detail, remedy=failure.remedy
        )
    )
    return FAILED


def _out_of_memory(error: Exception) -> RunFailure:
    return RunFailure(
        "Out of memory",
        first_line(error),
        "Halve `training.batch_size`, or lower `dataset.input_size_px`.",
    )
