"""The interactive worker's hands: they prepare datasets, do jobs, carry on searches, tell webhooks.

A click is answered by a model that stays loaded, a quick job takes seconds and somebody waits for
it, a long one minutes, a preparation perhaps an hour, a receiver may not answer: each has a thread
of its own, and one ring wakes all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from store import jobs
from store.database import Store
from store.settings import Settings
from worker.bell import Bell
from worker.jobs import Command, JobRunner, job_command
from worker.prepare import Preparer
from worker.searches import Searcher
from worker.steps import go_on
from worker.tryouts import Tryouts
from worker.webhooks import WebhookRunner

log = logging.getLogger(__name__)


class Interactive:
    """Prepares datasets, does jobs, carries searches on and tells webhooks, side by side."""

    def __init__(
        self, store: Store, settings: Settings, bell: Bell, command: Command = job_command
    ) -> None:
        self._preparer = Preparer(store, settings, bell)
        self.draining = self._preparer.draining
        self.held = self._preparer.held
        self._tryouts = Tryouts(store, settings, self.draining)
        self._runners: dict[jobs.Hand, JobRunner | Tryouts] = {"model": self._tryouts}
        hands: tuple[jobs.Hand, ...] = ("quick", "long")
        for hand in hands:
            self._runners[hand] = JobRunner(
                store,
                settings,
                self.draining,
                command,
                after_vote=lambda: go_on(store, bell),
                hands=(hand,),
            )
        for runner in self._runners.values():
            runner.held = self.held
        self._webhooks = WebhookRunner(store, settings, self.draining, self.held)
        self._searcher = Searcher(store, bell, self.draining, self.held)
        self._prepares = _Loop("prepare", self._preparer.wake)
        self._does_jobs = {
            hand: _Loop(f"{hand} jobs", runner.work) for hand, runner in self._runners.items()
        }
        self._searches = _Loop("searches", self._searcher.work)
        self._tells = _Loop("webhooks", self._webhooks.work)
        self._tryouts.mind_in_background()

    def wake(self) -> None:
        """Look for every kind of work; returns at once."""
        if not (self.draining.is_set() or self.held.is_set()):
            for loop in self._loops:
                loop.wake()

    def wake_in_background(self) -> None:
        """Do what `wake` does."""
        self.wake()

    @property
    def has_free_slot(self) -> bool:
        """Whether one of the hands is free."""
        if self.draining.is_set() or self.held.is_set():
            return False
        return not all(loop.is_busy for loop in self._loops)

    def has_work(self) -> bool:
        """Whether there is work that nobody is at, for a hand that is free."""
        return (
            (not self._prepares.is_busy and self._preparer.has_work())
            or (not self._searches.is_busy and self._searcher.has_work())
            or (not self._tells.is_busy and self._webhooks.has_work())
            or any(
                not self._does_jobs[hand].is_busy and runner.has_work()
                for hand, runner in self._runners.items()
            )
        )

    def current(self) -> list[int]:
        """Return no runs: this kind of worker has none."""
        return []

    def hold(self, held: bool) -> None:
        """Finish what is at hand and take nothing new; or go on taking."""
        was_held = self.held.is_set()
        if held:
            self.held.set()
        else:
            self.held.clear()
            if was_held:
                self.wake()

    def drain(self) -> None:
        """Stop; what is unfinished is free for another worker at once."""
        self.draining.set()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until no hand is at work; False if that took too long."""
        deadline = time.monotonic() + timeout_s
        return all(
            loop.wait_until_idle(max(0.0, deadline - time.monotonic())) for loop in self._loops
        )

    @property
    def _loops(self) -> tuple[_Loop, ...]:
        return (self._prepares, *self._does_jobs.values(), self._searches, self._tells)

    def kill(self) -> None:
        """Kill the programs that are at work, now."""
        self._preparer.kill()
        for runner in self._runners.values():
            runner.kill()
        self._searcher.kill()


class _Loop:
    """A thread that calls `work` once for all wakes since it last began, and never misses one."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._woken = False
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether it is at work, or about to be."""
        return self._busy or self._woken

    def wake(self) -> None:
        """Call `work` soon, again if it is being called now."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is done or to be done; False if that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_busy, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._woken)
                self._woken, self._busy = False, True
            try:
                self._work()
            except Exception:
                log.exception("Work of the interactive worker failed")
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
