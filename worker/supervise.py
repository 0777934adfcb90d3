"""One attempt at a run, from the claim to its end: start the trainer, follow it, conclude.

The trainer says everything through its files and its exit code; this module turns them into the
one move of the run's state that follows. Writing is the recorder's, in a thread of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from store import lifecycle
from store.database import Store, Unavailable
from store.lifecycle import Claim, LostRun, Status
from store.settings import Settings
from trainer.events import RunFailed, RunFinished
from trainer.files import TEMPORARY_SUFFIX
from worker.beginnings import NothingToContinue, checkpoint_folder
from worker.processes import Job, Launch, TrainerProcess, how_it_ended
from worker.recorder import PAUSES_S, Recorder
from worker.tail import EventTail

log = logging.getLogger(__name__)

POLL_S = 0.04
"""Between looks at the trainer's file and at the process."""
SUCCEEDED, INTERRUPTED, FAILED = 0, 3, 4
"""The trainer's exit codes that mean something; all others are crashes."""
DRAIN_GRACE_FACTOR = 1.5
"""A trainer that hands its run back may take so many times longer than a cancelled one."""
LEAVING_TIMEOUT_S = 5.0
"""How long a worker that is told to end tries to reach the database."""
LOG_TAIL_BYTES = 4_000
LOG_TAIL_LINES = 30

T = TypeVar("T")


class Supervisor:
    """Carries one claim through; `run` blocks until the run has moved on or was lost."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        claim: Claim,
        launch: Launch,
        draining: threading.Event,
    ) -> None:
        self._store = store
        self._settings = settings
        self._launch = launch
        self._draining = draining
        self.run_id = claim.run.id
        self.attempt = claim.attempt
        self._claim = claim
        self._folder = settings.attempt_dir(self.run_id, self.attempt)
        self._recorder = Recorder(store, settings, self.run_id, self.attempt)
        self._tail = EventTail(self._folder / "events.jsonl")
        self._trainer: TrainerProcess | None = None
        self._greeting = b""
        self._following = False
        self._rewind_at = 0.0
        self._asked_to_stop = False
        self._kill_at: float | None = None
        self._finished = False
        self._failure: RunFailed | None = None

    def run(self) -> Status | None:
        """Supervise the attempt; return where the run went, or None if it was lost."""
        self._recorder.start()
        try:
            try:
                job = self._prepare_folder()
                self._trainer = self._launch(job)
            except NothingToContinue as error:
                self._failure = error.event()
                return self._conclude(FAILED)
            except OSError as error:
                log.exception("Run %s: its trainer cannot be started", self.run_id)
                return self._crash(f"The trainer could not be started: {error}")
            log.info(
                "Run %s: attempt %s trains in process %s",
                self.run_id,
                self.attempt,
                self._trainer.pid,
            )
            code = self._follow(self._trainer)
            return self._conclude(code)
        except LostRun:
            log.warning("Run %s: attempt %s no longer owns it", self.run_id, self.attempt)
            return None
        except Unavailable as error:
            log.error("Run %s: left to its lease: %s", self.run_id, error)
            return None
        finally:
            if self._trainer is not None:
                self._trainer.close()
            self._recorder.stop()
            self._tail.close()
            remove_temporary_files(self._settings.run_dir(self.run_id))

    def kill(self) -> None:
        """Kill the trainer and all that it started, now."""
        if self._trainer is not None:
            self._trainer.kill_group()

    def _prepare_folder(self) -> Job:
        """Make the attempt's folder, empty but for the spec, and say what to start."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder)
        self._folder.mkdir(parents=True)
        spec = self._folder / "spec.json"
        spec.write_text(json.dumps(self._claim.run.spec, indent=2, ensure_ascii=False) + "\n")
        manifest = self._settings.dataset_dir(self._claim.dataset.id) / "manifest.json"
        resume_from = checkpoint_folder(self._store, self._settings, self._claim.run)
        return Job(spec, manifest, self._folder, resume_from)

    def _follow(self, trainer: TrainerProcess) -> int:
        """Pass on what the trainer says until it has ended; return its exit code.

        Raises:
            LostRun: If the run was taken away; the trainer has been killed.
        """
        while (code := trainer.poll()) is None:
            self._listen(trainer)
            self._stop_if_asked(trainer)
            if self._recorder.has_ended:
                trainer.kill_group()
                self._raise_if_lost()
            time.sleep(POLL_S)
        trainer.kill_group()  # helpers that outlived it
        if not self._following and self._has_greeted(trainer):
            self._insist(self._rewind)
        while self._following and not self._recorder.has_ended:
            if self._recorder.is_full:
                self._settle()
            if not self._read():
                break
        return code

    def _listen(self, trainer: TrainerProcess) -> None:
        """Hear where the trainer goes on from, then pass its events on."""
        if not self._following and self._has_greeted(trainer):
            if time.monotonic() < self._rewind_at:
                return
            try:
                self._rewind()
            except Unavailable as error:
                log.warning("Run %s: cannot begin to record it yet: %s", self.run_id, error)
                self._rewind_at = time.monotonic() + PAUSES_S[-1]
        if self._following and not self._recorder.is_full:
            self._read()

    def _has_greeted(self, trainer: TrainerProcess) -> bool:
        """Say whether the trainer's first line has come: where it goes on from."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._greeting += trainer.control.recv(4096)
        return b"\n" in self._greeting

    def _rewind(self) -> None:
        """Make the database forget what the trainer will say anew, and begin to read there.

        The trainer goes on from a checkpoint whose events are the first bytes of its file. Mostly
        they are in the database. They may not be: a trainer that outlives its worker, if only by
        a moment, saves what nobody has recorded. Then the file is read again from its start.

        Raises:
            LostRun: If the run was taken away.
            Unavailable: If the database does not answer; the events wait in the file.
        """
        start = json.loads(self._greeting.partition(b"\n")[0])
        offset, step, epochs = start["events_offset"], start["step"], start["epochs"]
        run = self._claim.run
        same_file = run.checkpoint_attempt == self.attempt - 1
        if offset > run.events_offset or not (same_file or step == run.checkpoint_step):
            offset, step, epochs = 0, 0, 0
        lifecycle.rewind(
            self._store, self.run_id, self.attempt, offset=offset, step=step, epochs=epochs
        )
        self._tail.offset = offset
        self._following = True

    def _read(self) -> bool:
        """Pass on what the file holds; say whether there was anything."""
        said = self._tail.read()
        for event, _ in said:
            if isinstance(event, RunFinished):
                self._finished = True
            elif isinstance(event, RunFailed):
                self._failure = event
        if said:
            self._recorder.put(said)
        return bool(said)

    def _stop_if_asked(self, trainer: TrainerProcess) -> None:
        """Ask the trainer to stop when somebody wants it to, and kill it when it does not."""
        now = time.monotonic()
        cancelled = self._recorder.cancel_requested.is_set()
        paused = self._recorder.pause_requested.is_set()
        if not self._asked_to_stop and (cancelled or paused or self._draining.is_set()):
            self._asked_to_stop = True
            trainer.ask_to_stop()
            self._kill_at = now + self._settings.cancel_grace_s * DRAIN_GRACE_FACTOR
            why = "cancelled" if cancelled else "paused" if paused else "drain"
            log.info("Run %s: told to stop (%s)", self.run_id, why)
        if self._kill_at is not None:
            if cancelled:
                self._kill_at = min(self._kill_at, now + self._settings.cancel_grace_s)
            if now >= self._kill_at:
                trainer.kill_group()

    def _conclude(self, code: int) -> Status:
        """Write the rest, then make the move that the exit code calls for."""
        self._settle()
        if self._recorder.refused is not None:
            return self._crash(self._post_mortem(code))
        if code == SUCCEEDED and self._finished:
            self._remove_leftovers()
            self._insist(
                lambda: lifecycle.finish(self._store, self.run_id, self.attempt, "succeeded")
            )
            return self._told(Status.SUCCEEDED)
        if self._recorder.cancel_requested.is_set():
            self._insist(
                lambda: lifecycle.finish(self._store, self.run_id, self.attempt, "cancelled")
            )
            return self._told(Status.CANCELLED)
        if code == FAILED and self._failure is not None:
            error = {
                "title": self._failure.title,
                "detail": self._failure.detail,
                "remedy": self._failure.remedy,
            }
            self._insist(
                lambda: lifecycle.finish(self._store, self.run_id, self.attempt, "failed", error)
            )
            return self._told(Status.FAILED)
        if code == INTERRUPTED or self._asked_to_stop:
            why = "Its worker was told to stop." if self._asked_to_stop else "It was told to stop."
            if self._recorder.pause_requested.is_set():
                why = "Its user asked for a pause."
            return self._told(
                self._insist(
                    lambda: lifecycle.hand_back(self._store, self.run_id, self.attempt, why)
                )
            )
        return self._crash(self._post_mortem(code))

    def _settle(self) -> None:
        """Wait until all that was read is in the database.

        Raises:
            LostRun: If the run was taken away.
            Unavailable: If this worker is told to end and the database stays away.
        """
        while not self._recorder.drain(timeout_s=LEAVING_TIMEOUT_S):
            self._raise_if_lost()
            if self._recorder.refused is not None:
                return  # the post-mortem tells
            if self._draining.is_set():
                raise Unavailable("The database did not answer before the worker had to end.")

    def _crash(self, detail: str) -> Status:
        return self._told(
            self._insist(
                lambda: lifecycle.crashed(
                    self._store, self.run_id, self.attempt, detail, self._settings.max_crashes
                )
            )
        )

    def _insist(self, write: Callable[[], T]) -> T:
        """Return what `write` returns, trying again while the database is away."""
        began = time.monotonic()
        tries = 0
        while True:
            try:
                return write()
            except Unavailable:
                if self._draining.is_set() and time.monotonic() - began > LEAVING_TIMEOUT_S:
                    raise
            time.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            tries += 1

    def _raise_if_lost(self) -> None:
        if self._recorder.lost.is_set():
            raise LostRun.of(self.run_id, self.attempt)

    def _told(self, status: Status) -> Status:
        log.info("Run %s: attempt %s ends, the run is %s", self.run_id, self.attempt, status)
        return status

    def _post_mortem(self, code: int) -> str:
        """Return how the trainer died and the end of what it printed."""
        if self._recorder.refused is not None:
            ending = f"The store refused its events: {self._recorder.refused}."
        elif code == SUCCEEDED:
            ending = "The trainer ended without having finished."
        else:
            ending = f"The trainer ended with {how_it_ended(code)}."
        tail = log_tail(self._folder / "trainer.log")
        return f"{ending}\n{tail}" if tail else ending

    def _remove_leftovers(self) -> None:
        """Remove the folders of earlier attempts, which nobody will go on from any more."""
        keep = self._folder.name
        for folder in self._settings.run_dir(self.run_id).glob("attempt-*"):
            if folder.name != keep:
                shutil.rmtree(folder, ignore_errors=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove files below `folder` that a killed trainer had not yet given their names."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(TEMPORARY_SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    Path(parent, name).unlink()


def log_tail(path: Path) -> str:
    """Return the last lines of a trainer's log, or an empty string."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-LOG_TAIL_LINES:])
