"""Jobs: claim one, run the trainer's program for it, store how far it is and what it says.

The programs load models and open images that nobody has vouched for, so each runs in a process
group of its own. Loading torch is most of what a small one costs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from store import jobs
from store.database import Store, Unavailable
from store.datasets import get_dataset, get_dataset_by_id, note_duplicates
from store.deletion import remove_leftovers
from store.evaluations import evaluations
from store.rows import JobRow
from store.runs import get_run
from store.settings import Settings
from trainer.errors import Conflict, TuneboardError
from trainer.program import failure
from worker.processes import how_it_ended
from worker.programs import LOOK_S, STOP_GRACE_S, Listener, insist, signal_group

log = logging.getLogger(__name__)

Command = Callable[[Store, Settings, JobRow], list[str]]

BEAT_S = 1.0
"""At most so long until it is noticed that a job was cancelled."""
KEPT_S = 24 * 3600.0
"""How long a job and its files outlive its end."""
FORGET_EVERY_S = 600.0


def job_command(store: Store, settings: Settings, job: JobRow) -> list[str]:
    """Return the command that does a job, its files in the job's folder.

    Raises:
        NotFound, Conflict: If what it needs is gone.
    """
    folder, asked = settings.job_dir(job.id), job.payload
    if job.kind == "vote":
        return _vote_command(store, settings, job)
    if job.kind == "preflight":
        manifest = settings.dataset_dir(get_dataset_by_id(store, job.dataset_id or 0).id)
        given = [f"--spec={json.dumps(asked['spec'])}", f"--data={manifest / 'manifest.json'}"]
        return [
            sys.executable, "-m", "trainer.preflight", *given, f"--out={folder / asked['file']}",
        ]  # fmt: skip
    if job.kind == "duplicates":
        manifest = settings.dataset_dir(get_dataset_by_id(store, job.dataset_id or 0).id)
        return [sys.executable, "-m", "trainer.duplicates", f"--data={manifest / 'manifest.json'}"]
    run = get_run(store, job.run_id or 0)
    attempt = settings.attempt_dir(run.id, run.attempt)
    given = [f"--run-dir={attempt}", "--device=cpu", f"--out={folder / asked['file']}"]
    if job.kind == "export":
        dataset = get_dataset(store, run.dataset_name)
        manifest = settings.dataset_dir(dataset.id) / "manifest.json"
        given += [f"--data={manifest}", f"--format={asked['format']}"]
        return [sys.executable, "-m", "trainer.export", *given]
    if "dataset" in asked:
        dataset = get_dataset(store, asked["dataset"])
        given.append(f"--data={settings.dataset_dir(dataset.id) / 'manifest.json'}")
    elif "folder" in asked:
        given += [f"--root={root}" for root in settings.data_roots] + ["--", asked["folder"]]
    else:
        given.append(f"--listing={settings.job_inputs_dir(asked['inputs']) / 'listing.json'}")
        given.append(f"--files-limit={settings.upload_files_limit}")
        given.append(f"--unpacked-limit-bytes={settings.unpacked_limit_bytes}")
    return [sys.executable, "-m", "trainer.predict", *given]


def _vote_command(store: Store, settings: Settings, job: JobRow) -> list[str]:
    asked = job.payload
    found = {
        row.run_id: row for row in evaluations(store, asked["runs"]) if row.split == asked["split"]
    }
    command = [sys.executable, "-m", "trainer.vote", f"--method={asked['method']}"]
    command += [f"--prefer={asked['runs'].index(asked['prefer'])}"]
    command.append(f"--out={settings.job_dir(job.id) / asked['file']}")
    for run_id in asked["runs"]:
        if run_id not in found:
            raise Conflict(f"Run {run_id} has no {asked['split']} predictions any more.")
        file = settings.run_dir(run_id) / found[run_id].predictions_file
        command += ["--run", str(run_id), str(file)]
    names = [one["name"] for one in found[asked["runs"][0]].classes]
    return command + [f"--class={name}" for name in names]


class JobRunner:
    """Does one job after another of those that are for its hands."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        draining: threading.Event,
        command: Command = job_command,
        after_vote: Callable[[], None] | None = None,
        hands: Sequence[jobs.Hand] = ("quick", "long"),
        device: Literal["cpu", "cuda"] = "cpu",
    ) -> None:
        """Prepare to work.

        Args:
            after_vote: Called when a vote has ended: a study may wait for it.
            hands: Whose jobs are done.
            device: Which they have.
        """
        self._hands = hands
        self._device = device
        self._after_vote = after_vote
        self._store = store
        self._settings = settings
        self._command = command
        self._draining = draining
        self.held = threading.Event()
        """Whether nothing new is to be taken for now."""
        self._process: subprocess.Popen[bytes] | None = None
        self._forgot_at: float | None = None

    def work(self) -> None:
        """Do all that wait, in this thread."""
        try:
            self._forget()
            while not (self._draining.is_set() or self.held.is_set()):
                job = jobs.claim_job(self._store, self._settings.lease_s, self._hands, self._device)
                if job is None:
                    return
                self._do(job)
        except Unavailable as error:
            log.warning("Could not look for jobs; the next tick will: %s", error)

    def has_work(self) -> bool:
        """Whether a job waits that nobody is at."""
        return jobs.jobs_wait(self._store, self._hands, self._device)

    def kill(self) -> None:
        """Kill the program that is at work, now."""
        process = self._process
        if process is not None:
            signal_group(process, signal.SIGKILL)

    def _do(self, job: JobRow) -> None:
        log.info("Job %s: %s of run %s, dataset %s", job.id, job.kind, job.run_id, job.dataset_id)
        folder = self._settings.job_dir(job.id)
        try:
            command = self._command(self._store, self._settings, job)
            folder.mkdir(parents=True, exist_ok=True)
        except Unavailable:
            raise
        except (TuneboardError, OSError) as error:
            known = error if isinstance(error, TuneboardError) else TuneboardError(str(error))
            self._store_failure(job, failure(known))
            self._tell_steps(job)
            return
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
        ) as process:
            self._process = process
            listener = Listener(process)
            try:
                wanted = self._follow(job, process, listener)
            finally:
                signal_group(process, signal.SIGKILL)
                self._process = None
            listener.join()
            code = process.wait()
        if wanted:
            self._conclude(job, listener.result, code)
            self._tell_steps(job)

    def _tell_steps(self, job: JobRow) -> None:
        if job.kind == "vote" and self._after_vote is not None:
            self._after_vote()

    def _follow(self, job: JobRow, process: subprocess.Popen[bytes], listener: Listener) -> bool:
        """Keep the lease until the program ends; False if its result is not wanted."""
        told_at = time.monotonic()
        pause_s = min(BEAT_S, self._settings.heartbeat_s)
        while True:
            if self._draining.is_set():
                signal_group(process, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_GRACE_S)
                with contextlib.suppress(Unavailable):
                    jobs.release_job(self._store, job)
                return False
            if time.monotonic() - told_at >= pause_s:
                told_at = time.monotonic()
                try:
                    if not jobs.beat_job(
                        self._store, job, self._settings.lease_s, listener.progress
                    ):
                        log.info("Job %s: cancelled, or no longer ours", job.id)
                        self._tidy(job)
                        return False
                except Unavailable as error:
                    log.warning("Job %s: cannot keep its lease: %s", job.id, error)
            try:
                process.wait(LOOK_S)
            except subprocess.TimeoutExpired:
                continue
            return True

    def _conclude(self, job: JobRow, result: dict[str, Any], code: int) -> None:
        """Store what the program said at last; what was sent to it is no longer needed."""
        ready = result.get("ready")
        if ready is not None:
            if job.kind == "duplicates":
                found, dataset_id = ready["duplicates"], job.dataset_id or 0
                insist(lambda: note_duplicates(self._store, dataset_id, found), self._draining)
            insist(lambda: jobs.job_succeeded(self._store, job, ready), self._draining)
        else:
            error = result.get("failed") or {
                "title": "The job could not be done",
                "detail": f"The program for it ended with {how_it_ended(code)}.",
                "remedy": "The interactive worker's log holds more.",
                "errors": [],
            }
            self._store_failure(job, error)
        self._forget_inputs(job)

    def _tidy(self, job: JobRow) -> None:
        """Remove the files of a job that was cancelled; another worker's stay."""
        with contextlib.suppress(TuneboardError):
            if jobs.get_job(self._store, job.id).state == "cancelled":
                shutil.rmtree(self._settings.job_dir(job.id), ignore_errors=True)
                self._forget_inputs(job)

    def _forget_inputs(self, job: JobRow) -> None:
        if "inputs" in job.payload:
            inputs = self._settings.job_inputs_dir(job.payload["inputs"])
            shutil.rmtree(inputs, ignore_errors=True)

    def _store_failure(self, job: JobRow, error: dict[str, Any]) -> None:
        log.warning("Job %s failed: %s", job.id, json.dumps(error["detail"]))
        insist(lambda: jobs.job_failed(self._store, job, error), self._draining)

    def _forget(self) -> None:
        """Remove jobs that ended long ago, and what deleted runs left behind, now and then."""
        now = time.monotonic()
        if self._forgot_at is not None and now - self._forgot_at < FORGET_EVERY_S:
            return
        self._forgot_at = now
        for job_id in jobs.forget_jobs(self._store, KEPT_S):
            shutil.rmtree(self._settings.job_dir(job_id), ignore_errors=True)
        remove_leftovers(self._store, self._settings)
