"""Write an attempt's events to the store and keep its lease, in a thread of their own.

Nothing that happens to the trainer's files can delay a heartbeat. While the database is away,
events wait here, boundedly, and the trainer goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from store import lifecycle, runs
from store.database import Store, Unavailable
from store.lifecycle import LostRun
from store.settings import Settings
from worker.tail import Said

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How long an event of the steady kind, or a request to cancel or pause, may wait to be seen."""
BUFFER_LIMIT = 5_000
"""Events that wait here at most; the rest wait in the trainer's file."""
BATCH_LIMIT = 500
PAUSES_S = (0.2, 0.5, 1.0, 2.0)
"""Between tries while the database is away; the last one repeats."""
STEADY_KINDS = frozenset({"progress", "steps_recorded", "resources", "log"})
"""Events that may wait `LOOK_S`; an attempt's first progress may not."""


class Recorder:
    """The write side of one attempt; `start` it, `put` events, `drain`, `stop`."""

    def __init__(self, store: Store, settings: Settings, run_id: int, attempt: int) -> None:
        self._store = store
        self._settings = settings
        self._run_id = run_id
        self._attempt = attempt
        self._changed = threading.Condition()
        self._waiting: list[Said] = []
        self._urgent = False
        self._seen_progress = False
        self._stopping = False
        self._written_at = time.monotonic()
        self._failures = 0
        """Tries in a row that the database did not answer."""
        self._thread = threading.Thread(target=self._work, name=f"recorder-{run_id}", daemon=True)
        self.cancel_requested = threading.Event()
        self.pause_requested = threading.Event()
        self.lost = threading.Event()
        self.refused: Exception | None = None
        """Why the store will never take what waits here; such an attempt cannot go on."""

    def start(self) -> None:
        """Begin to keep the lease."""
        self._thread.start()

    def put(self, events: Sequence[Said]) -> None:
        """Take events to be written, in order, following those put before."""
        kinds = {event.kind for event, _ in events}
        with self._changed:
            self._waiting += events
            first = "progress" in kinds and not self._seen_progress
            self._seen_progress |= first
            if first or kinds - STEADY_KINDS:
                self._urgent = True
                self._changed.notify_all()

    @property
    def is_full(self) -> bool:
        """Whether the reader should leave what comes next in the file."""
        return len(self._waiting) >= BUFFER_LIMIT

    @property
    def has_ended(self) -> bool:
        """Whether nothing can be recorded any more: the run was lost, or the store refuses it."""
        return self.lost.is_set() or self.refused is not None

    def drain(self, timeout_s: float | None = None) -> bool:
        """Wait until everything put is in the database; False if it will not be, or not in time."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting or self.has_ended, timeout_s)
            return not self._waiting and not self.has_ended

    def stop(self) -> None:
        """End the thread; the lease runs out unless the run has been moved on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=LOOK_S)  # a frozen database must not hold up the worker

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                self._write(batch)
            except Unavailable as error:
                if not self._failures:
                    log.warning("Run %s: keeping its events back: %s", self._run_id, error)
                self._failures += 1
                continue
            except LostRun:
                self._end()
                return
            except Exception as error:
                log.exception("Run %s: the store refuses its events", self._run_id)
                self._end(error)
                return
            if self._failures:
                log.info("Run %s: the database is back", self._run_id)
                self._failures = 0

    def _next_batch(self) -> list[Said] | None:
        """Wait for the next moment to write; return what to write then, or None at the end."""
        pause_s = min(LOOK_S, self._settings.heartbeat_s)
        if self._failures:
            pause_s = PAUSES_S[min(self._failures, len(PAUSES_S)) - 1]
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or (self._urgent and not self._failures), pause_s
            )
            self._urgent = False
            return None if self._stopping else self._waiting[:BATCH_LIMIT]

    def _write(self, batch: list[Said]) -> None:
        """Store a batch, or renew the lease if that is due, or at least look for what users ask."""
        now = time.monotonic()
        if batch or now - self._written_at >= self._settings.heartbeat_s:
            recorded = lifecycle.record(
                self._store,
                self._run_id,
                self._attempt,
                lease_s=self._settings.lease_s,
                events=[event for event, _ in batch],
                offset=batch[-1][1] if batch else None,
            )
            self._written_at = now
            cancel, pause = recorded.cancel_requested, recorded.pause_requested
        else:
            run = runs.get_run(self._store, self._run_id)
            cancel, pause = run.cancel_requested, run.pause_requested
        if cancel:
            self.cancel_requested.set()
        if pause:
            self.pause_requested.set()
        with self._changed:
            del self._waiting[: len(batch)]
            if self._waiting and len(batch) == BATCH_LIMIT:
                self._urgent = True
            self._changed.notify_all()

    def _end(self, refused: Exception | None = None) -> None:
        with self._changed:
            self.refused = refused
            if refused is None:
                self.lost.set()
            self._changed.notify_all()
