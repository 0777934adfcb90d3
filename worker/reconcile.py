"""The tick: take lost runs back, begin steps that are due, see that waiting work is heard of."""

from __future__ import annotations

import logging
import random
import threading
from typing import Protocol

from store import lifecycle
from store.database import Store, Unavailable
from store.settings import Settings
from worker.bell import Bell
from worker.celery import WAKE_TASK
from worker.steps import go_on

log = logging.getLogger(__name__)

JITTER = 0.2
"""Ticks of many workers spread by this share of their length, to either side."""


class Hand(Protocol):
    """What a tick can set to work: a `Runner` or an `Interactive`."""

    @property
    def has_free_slot(self) -> bool:
        """Whether it could take more work now."""

    def has_work(self) -> bool:
        """Whether work is waiting that nobody is at."""

    def wake_in_background(self) -> None:
        """Look for work without a message."""


class Reconciler:
    """A thread that ticks until it is stopped."""

    def __init__(self, store: Store, settings: Settings, bell: Bell, task: str, hand: Hand) -> None:
        self._store = store
        self._settings = settings
        self._bell = bell
        self._task = task
        self._hand = hand
        self._seen: lifecycle.Seen = {}
        self._waited = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reconciler", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self) -> None:
        """Tick no more."""
        self._stopping.set()

    def tick(self) -> None:
        """Do everything once.

        Raises:
            Unavailable: If the database does not answer.
        """
        lost = lifecycle.reap(
            self._store,
            seen=self._seen,
            heartbeat_s=self._settings.heartbeat_s,
            max_losses=self._settings.max_losses,
        )
        if lost:
            log.warning("Took back runs whose workers fell silent: %s", lost)
            self._bell.ring_now(WAKE_TASK, unless_waiting=1)
        go_on(self._store, self._bell)
        self._see_to_waiting_work()

    def _see_to_waiting_work(self) -> None:
        """Ring for work that waits, and take it without the broker if ringing did not help."""
        waits = self._hand.has_free_slot and self._hand.has_work()
        if waits:
            rung = self._bell.ring_now(self._task, unless_waiting=1)
            if not rung or self._waited:
                self._hand.wake_in_background()
        self._waited = waits

    def _work(self) -> None:
        answered = True
        pause_s = 0.0  # work may have waited before this worker came
        while not self._stopping.wait(pause_s):
            pause_s = self._pause_s()
            try:
                self.tick()
            except Unavailable as error:
                if answered:
                    log.warning("Could not reconcile: %s", error)
                answered = False
            except Exception:
                log.exception("A tick failed")
            else:
                answered = True

    def _pause_s(self) -> float:
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
        return self._settings.tick_s * spread
