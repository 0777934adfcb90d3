"""Prepare datasets: claim one, run the trainer's program for it, store what it says.

The program opens files that nobody has vouched for, so it runs in a process group of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from store import datasets, lifecycle
from store.database import Store, Unavailable
from store.rows import DatasetRow
from store.settings import Settings
from worker.bell import Bell
from worker.processes import how_it_ended
from worker.programs import LOOK_S, STOP_GRACE_S, Listener, insist, signal_group

log = logging.getLogger(__name__)

Command = Callable[[Settings, DatasetRow], list[str]]


def prepare_command(settings: Settings, dataset: DatasetRow) -> list[str]:
    """Return the command that prepares a dataset into its folder."""
    command = [sys.executable, "-m", "trainer.datasets.prepare"]
    is_upload = dataset.kind == "upload"
    options: dict[str, Any] = {
        "kind": dataset.kind,
        "source": settings.uploads_dir / dataset.source if is_upload else dataset.source,
        "name": dataset.name,
        "into": settings.dataset_dir(dataset.id),
        "downloads": settings.datasets_dir / "downloads",
        "roots": os.pathsep.join(str(root) for root in settings.data_roots),
        "upload-limit-bytes": settings.upload_limit_bytes,
        "upload-files-limit": settings.upload_files_limit,
        "unpacked-limit-bytes": settings.unpacked_limit_bytes,
    }
    if settings.dataset_mirror is not None:
        options["mirror"] = settings.dataset_mirror
    command += [f"--{name}={value}" for name, value in options.items()]
    return command if dataset.labelled else [*command, "--unlabelled"]


class Preparer:
    """Prepares one dataset after another."""

    def __init__(
        self, store: Store, settings: Settings, bell: Bell, command: Command = prepare_command
    ) -> None:
        self._store = store
        self._settings = settings
        self._bell = bell
        self._command = command
        self._busy = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.draining = threading.Event()
        self.held = threading.Event()
        """Whether nothing new is to be taken for now."""

    def wake(self) -> None:
        """Prepare all that wait, in this thread; returns at once if another thread is at it."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            while not (self.draining.is_set() or self.held.is_set()):
                dataset = datasets.claim_preparation(self._store, self._settings.lease_s)
                if dataset is None:
                    return
                self._prepare(dataset)
        except Unavailable as error:
            log.warning("Could not look for datasets to prepare; the next tick will: %s", error)
        finally:
            self._busy.release()

    def wake_in_background(self) -> None:
        """Do what `wake` does in a thread of its own."""
        threading.Thread(target=self.wake, name="wake", daemon=True).start()

    @property
    def has_free_slot(self) -> bool:
        """Whether nothing is being prepared."""
        return not self._busy.locked() and not self.draining.is_set()

    def has_work(self) -> bool:
        """Whether a dataset waits that nobody is preparing."""
        with self._store.read() as conn:
            now = self._store.now(conn)
        return any(
            row.status == "preparing" and (row.lease_expires_at or 0.0) < now
            for row in datasets.list_datasets(self._store)
        )

    def current(self) -> list[int]:
        """Return no runs: this kind of worker has none."""
        return []

    def drain(self) -> None:
        """Stop preparing; what is unfinished is free for another worker at once."""
        self.draining.set()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is being prepared; False if that took too long."""
        idle = self._busy.acquire(timeout=timeout_s)
        if idle:
            self._busy.release()
        return idle

    def kill(self) -> None:
        """Kill the program that is preparing, now."""
        process = self._process
        if process is not None:
            signal_group(process, signal.SIGKILL)

    def _prepare(self, dataset: DatasetRow) -> None:
        log.info("Dataset %s: preparing it from %s", dataset.name, dataset.kind)
        self._settings.datasets_dir.mkdir(parents=True, exist_ok=True)
        with subprocess.Popen(
            self._command(self._settings, dataset),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            self._process = process
            listener = Listener(process)
            try:
                wanted = self._follow(dataset, process, listener)
            finally:
                signal_group(process, signal.SIGKILL)
                self._process = None
            listener.join()
            code = process.wait()
        if wanted:
            self._conclude(dataset, listener.result, code)

    def _follow(
        self, dataset: DatasetRow, process: subprocess.Popen[bytes], listener: Listener
    ) -> bool:
        """Keep the lease until the program ends; False if its result is not wanted."""
        told: Mapping[str, Any] | None = None
        told_at = 0.0
        while True:
            if self.draining.is_set():
                self._release(dataset, process, listener)
                return False
            progress, now = listener.progress, time.monotonic()
            if progress != told or now - told_at >= self._settings.heartbeat_s:
                try:
                    if not datasets.beat_preparation(
                        self._store, dataset.id, progress, self._settings.lease_s
                    ):
                        log.info("Dataset %s: no longer wanted", dataset.name)
                        return False
                    told, told_at = progress, now
                except Unavailable as error:
                    log.warning("Dataset %s: cannot say how far it is: %s", dataset.name, error)
            try:
                process.wait(LOOK_S)
            except subprocess.TimeoutExpired:
                continue
            return True

    def _release(
        self, dataset: DatasetRow, process: subprocess.Popen[bytes], listener: Listener
    ) -> None:
        """Stop the program and let another worker begin anew."""
        signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_GRACE_S)
        with contextlib.suppress(Unavailable):
            datasets.beat_preparation(self._store, dataset.id, listener.progress, lease_s=0.0)
        self._bell.ring_interactive()

    def _conclude(self, dataset: DatasetRow, result: Mapping[str, Any], code: int) -> None:
        """Store what the program said at last."""
        ready = result.get("ready")
        if ready is not None:
            insist(
                lambda: datasets.dataset_ready(
                    self._store, dataset.id, ready["fingerprint"], ready["summary"]
                ),
                self.draining,
            )
            log.info("Dataset %s is ready", dataset.name)
            self._bell.ring_train()
            return
        error = result.get("failed") or {
            "title": "The dataset could not be prepared",
            "detail": f"The program that prepares it ended with {how_it_ended(code)}.",
            "remedy": "The interactive worker's log holds more.",
            "errors": [],
        }
        log.warning("Dataset %s could not be prepared: %s", dataset.name, error["detail"])
        if insist(lambda: datasets.dataset_failed(self._store, dataset.id, error), self.draining):
            insist(
                lambda: lifecycle.fail_queued_for_dataset(self._store, dataset.name, error),
                self.draining,
            )
