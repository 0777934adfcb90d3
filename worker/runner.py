"""The slots of a training worker: claim while one is free, supervise, claim again."""

from __future__ import annotations

import logging
import threading
from typing import Literal

from store import jobs, lifecycle, runs
from store.database import Store, Unavailable
from store.lifecycle import Claim, Status
from store.settings import Settings
from worker.bell import Bell
from worker.jobs import JobRunner
from worker.processes import Launch
from worker.steps import go_on
from worker.supervise import Supervisor

log = logging.getLogger(__name__)

SLOT_LOOK_S = 0.5
"""How often a thread that waits for a slot looks whether the worker is ending."""


class Runner:
    """Runs as many trainers as there are slots."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        bell: Bell,
        launch: Launch,
        *,
        worker_id: str,
        device: Literal["cpu", "cuda"],
        slots: int,
    ) -> None:
        self._store = store
        self._settings = settings
        self._bell = bell
        self._launch = launch
        self._worker_id = worker_id
        self._device: Literal["cpu", "cuda"] = device
        self._slots = threading.Semaphore(slots)
        self._free = slots
        self._active: set[Supervisor] = set()
        self._trying: set[JobRunner] = set()
        """Slots whose turn it is to try specs that are not launched yet."""
        self._changed = threading.Condition()
        self.draining = threading.Event()
        self.held = threading.Event()

    def wake(self) -> None:
        """Claim and supervise runs, one after the other in this thread, until none is left.

        Waits for a slot when a tick has taken this thread's.
        """
        while self._take_slot():
            try:
                self._try_specs()
                claim = self._claim()
                if claim is None:
                    return
                self._supervise(claim)
            finally:
                with self._changed:
                    self._free += 1
                self._slots.release()

    def wake_in_background(self) -> None:
        """Do what `wake` does in a thread of its own, if a slot is free."""
        if self.has_free_slot:
            threading.Thread(target=self.wake, name="wake", daemon=True).start()

    @property
    def has_free_slot(self) -> bool:
        """Whether this worker could take another run now."""
        return self._free > 0 and not (self.draining.is_set() or self.held.is_set())

    def has_work(self) -> bool:
        """Whether a run is waiting, for this worker or for another."""
        queued = runs.counts_by_status(self._store).get(Status.QUEUED, 0) > 0
        return queued or jobs.jobs_wait(self._store, ("train",), self._device)

    def current(self) -> list[int]:
        """Return the ids of the runs that are being supervised."""
        with self._changed:
            return sorted(supervisor.run_id for supervisor in self._active)

    def hold(self, held: bool) -> None:
        """Let the runs at hand end and claim no other; or go on claiming."""
        was_held = self.held.is_set()
        if held:
            self.held.set()
        else:
            self.held.clear()
            if was_held:
                self._bell.ring_train()

    def drain(self) -> None:
        """Take no more runs, and hand those back that are running; returns at once."""
        self.draining.set()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is supervised any more; False if that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._active or self._trying), timeout_s)

    def kill(self) -> None:
        """Kill all trainers, now."""
        with self._changed:
            active: list[Supervisor | JobRunner] = [*self._active, *self._trying]
        for one in active:
            one.kill()

    def _take_slot(self) -> bool:
        while not self.draining.is_set():
            if self._slots.acquire(timeout=SLOT_LOOK_S):
                with self._changed:
                    self._free -= 1
                return True
        return False

    def _try_specs(self) -> None:
        """Do the preflights that wait, in this thread's slot: beside no run that it would slow."""
        runner = JobRunner(
            self._store, self._settings, self.draining, hands=("train",), device=self._device
        )
        runner.held = self.held
        try:
            if self.held.is_set() or not runner.has_work():
                return
        except Unavailable as error:
            log.warning("Could not look for preflights; the next tick will: %s", error)
            return
        with self._changed:
            self._trying.add(runner)
        try:
            runner.work()
        except Exception:
            log.exception("A preflight broke; left to its lease")
        finally:
            with self._changed:
                self._trying.discard(runner)
                self._changed.notify_all()

    def _claim(self) -> Claim | None:
        if self.draining.is_set() or self.held.is_set():
            return None
        try:
            claim = lifecycle.claim(
                self._store,
                self._worker_id,
                device=self._device,
                lease_s=self._settings.lease_s,
            )
        except Unavailable as error:
            log.warning("Could not look for work; the next tick will: %s", error)
            return None
        if claim is not None:
            self._pass_on()
        return claim

    def _pass_on(self) -> None:
        """Ring for the next run: one message may stand for several."""
        try:
            if self.has_work():
                self._bell.ring_train()
        except Unavailable:
            log.debug("Could not look for more work", exc_info=True)

    def _supervise(self, claim: Claim) -> None:
        supervisor = Supervisor(self._store, self._settings, claim, self._launch, self.draining)
        with self._changed:
            self._active.add(supervisor)
        status = None
        try:
            status = supervisor.run()
        except Exception:
            log.exception("Run %s: supervision broke; left to its lease", claim.run.id)
        finally:
            with self._changed:
                self._active.discard(supervisor)
                self._changed.notify_all()
        if status is Status.QUEUED:
            self._bell.ring_train()  # this worker may be ending; others can go on at once
        elif status is not None and claim.run.study_id is not None:
            go_on(self._store, self._bell, claim.run.study_id)
