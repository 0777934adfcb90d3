"""The interactive worker's quickest hand: asks the model server what a person tries on a run.

It has a thread of its own, so that no long prediction makes somebody wait who has sent one image.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from store import jobs
from store.database import Store, Unavailable
from store.datasets import get_dataset
from store.rows import JobRow
from store.runs import get_run
from store.settings import Settings
from trainer.errors import NotFound, TuneboardError
from trainer.program import failure
from worker.model_server import ModelServer
from worker.programs import insist

log = logging.getLogger(__name__)

HANDS: tuple[jobs.Hand, ...] = ("model",)
IMAGE_FILE = "image"
"""An uploaded image in its job's folder, whatever its format."""
PASSED_ON = ("class", "module", "page", "columns", "file")
MIND_S = 1.0
BEAT_S = 1.0
"""At most so long until it is noticed that a job was cancelled."""


class Tryouts:
    """Does one job after another with a model server that it looks after."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        draining: threading.Event,
        server: ModelServer | None = None,
    ) -> None:
        """Prepare to work; the server starts when it is needed, or ahead (see `mind`)."""
        self._store = store
        self._settings = settings
        self._draining = draining
        self._server = server or ModelServer(settings.model_memory_bytes)
        self.held = threading.Event()
        """Whether nothing new is to be taken for now."""
        self._idle_since = time.monotonic()
        self._busy = False

    def work(self) -> None:
        """Do all that wait, in this thread."""
        self._busy = True
        try:
            while not (self._draining.is_set() or self.held.is_set()):
                job = jobs.claim_job(self._store, self._settings.lease_s, HANDS)
                if job is None:
                    return
                self._do(job)
        except Unavailable as error:
            log.warning("Could not look for jobs; the next tick will: %s", error)
        finally:
            self._busy, self._idle_since = False, time.monotonic()

    def has_work(self) -> bool:
        """Whether a job waits that nobody is at."""
        return jobs.jobs_wait(self._store, HANDS)

    def kill(self) -> None:
        """Kill the server now."""
        self._server.kill()

    def mind_in_background(self) -> None:
        """Look after the server from a thread until this worker is to end."""
        threading.Thread(target=self._mind, name="model-minder", daemon=True).start()

    def mind(self) -> None:
        """Start a server ahead if nothing else is to be done; forget models nobody asks for."""
        if self._busy:
            return
        now, used_at = time.monotonic(), self._server.used_at
        if used_at is not None and now - used_at > self._settings.model_idle_s:
            log.info("The models were not used for %.0f s: forgotten", now - used_at)
            self._server.close()
        ahead_s = self._settings.model_warm_s
        if ahead_s > 0 and not self._server.is_running and now - self._idle_since > ahead_s:
            self._server.warm_up()

    def _mind(self) -> None:
        while not self._draining.wait(MIND_S):
            try:
                self.mind()
            except Exception:
                log.exception("Could not look after the model server")
        self._server.close()

    def _do(self, job: JobRow) -> None:
        log.info("Job %s: %s with run %s", job.id, job.kind, job.run_id)
        try:
            request = tryout_request(self._store, self._settings, job)
            answer = self._server.ask(
                request, _Lease(self._store, self._settings, job, self._draining)
            )
        except Unavailable:
            raise
        except (TuneboardError, OSError) as error:
            known = error if isinstance(error, TuneboardError) else TuneboardError(str(error))
            answer = {"failed": failure(known)}
        if answer is None:
            if self._draining.is_set():
                jobs.release_job(self._store, job)
            return
        if "ready" in answer:
            result = answer["ready"]
            insist(lambda: jobs.job_succeeded(self._store, job, result), self._draining)
        else:
            why = answer["failed"]
            log.warning("Job %s failed: %s", job.id, json.dumps(why["detail"]))
            insist(lambda: jobs.job_failed(self._store, job, why), self._draining)


def tryout_request(store: Store, settings: Settings, job: JobRow) -> dict[str, Any]:
    """Return what to ask the model server for a job, its image in the job's folder.

    Raises:
        NotFound: If what it needs is gone.
    """
    run = get_run(store, job.run_id or 0)
    asked, folder = job.payload, settings.job_dir(job.id)
    folder.mkdir(parents=True, exist_ok=True)
    request = {
        "do": job.kind,
        "attempt": str(settings.attempt_dir(run.id, run.attempt)),
        "out": str(folder),
        **{key: asked[key] for key in PASSED_ON if key in asked},
    }
    image = asked.get("image")
    if image is None:
        return request
    if "index" in image:
        dataset = get_dataset(store, run.dataset_name)
        request["manifest"] = str(settings.dataset_dir(dataset.id) / "manifest.json")
        return {**request, "image": image}
    if "inputs" in asked:
        _move_in(settings.job_inputs_dir(asked["inputs"]), folder / IMAGE_FILE)
    file = settings.job_dir(image.get("job", job.id)) / IMAGE_FILE
    if not file.is_file():
        raise NotFound(f"The image `{image['name']}` is no longer here.", "Send it again.")
    return {**request, "image": {"file": str(file), "name": image["name"]}}


def _move_in(inputs: Path, file: Path) -> None:
    """Keep an uploaded image with its job, with which it will be forgotten."""
    sent = inputs / "00000"
    if sent.is_file():  # otherwise an earlier try has moved it
        os.replace(sent, file)
        (inputs / "listing.json").unlink(missing_ok=True)
        inputs.rmdir()


class _Lease:
    """Keeps a job's lease each time it is called; says whether its result is still wanted."""

    def __init__(
        self, store: Store, settings: Settings, job: JobRow, draining: threading.Event
    ) -> None:
        self._store = store
        self._settings = settings
        self._job = job
        self._draining = draining
        self._told_at = time.monotonic()

    def __call__(self) -> bool:
        if self._draining.is_set():
            return False
        if time.monotonic() - self._told_at < min(BEAT_S, self._settings.heartbeat_s):
            return True
        self._told_at = time.monotonic()
        try:
            return jobs.beat_job(self._store, self._job, self._settings.lease_s)
        except Unavailable as error:
            log.warning("Job %s: cannot keep its lease: %s", self._job.id, error)
            return True
