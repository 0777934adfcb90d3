"""Ring a queue after a commit: in the background, bounded, never raising.

The database already holds the work, so a lost ring only costs time until the next tick. The web
process imports this module: it must stay light.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter

from kombu.exceptions import KombuError, OperationalError
from redis.exceptions import RedisError

from store.settings import Settings
from worker.celery import PREPARE_TASK, WAKE_TASK, make_app

log = logging.getLogger(__name__)

PENDING_LIMIT = 64
"""Rings of one bell waiting in this process; more would wake nobody else."""
WAITING_LIMIT = 64
"""Messages in a queue at which it needs no further one."""
PUBLISH_TIMEOUT_S = 2
"""Patience with a frozen broker; a publisher, unlike a consumer, never waits for work."""
_PUBLISH_ERRORS = (OperationalError, KombuError, RedisError, OSError)


class Bell:
    """Publishes wake-ups to one installation's queues; its methods return at once."""

    def __init__(self, settings: Settings) -> None:
        self._queues = {WAKE_TASK: settings.train_queue, PREPARE_TASK: settings.interactive_queue}
        self._app = make_app(settings)
        self._app.conf.broker_transport_options["socket_timeout"] = PUBLISH_TIMEOUT_S
        self._pending: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def ring_train(self) -> None:
        """Tell the training workers that a run may be waiting."""
        self._ring(WAKE_TASK)

    def ring_interactive(self) -> None:
        """Tell the interactive workers that a dataset or a job may be waiting."""
        self._ring(PREPARE_TASK)

    def ring_now(self, task: str, *, unless_waiting: int = WAITING_LIMIT) -> bool:
        """Publish `task` in this thread, seconds at worst, and say whether the broker took it.

        Args:
            task: `WAKE_TASK` or `PREPARE_TASK`.
            unless_waiting: Publish nothing when the queue already holds so many messages.
        """
        queue = self._queues[task]
        try:
            with self._app.producer_pool.acquire(block=True, timeout=10) as producer:
                if self._waiting(producer, queue) >= unless_waiting:
                    return True
                self._app.send_task(
                    task, queue=queue, ignore_result=True, retry=False, producer=producer
                )
        except _PUBLISH_ERRORS as error:
            log.warning("Could not ring %s; the next tick will find the work: %s", queue, error)
            return False
        return True

    def close(self, timeout_s: float = 1.0) -> None:
        """Publish what is pending if that is quick, and let the connections go."""
        with self._changed:
            self._closed = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(timeout_s)
        if thread is None or not thread.is_alive():
            self._app.close()

    def _ring(self, task: str) -> None:
        with self._changed:
            if self._closed:
                return
            self._pending[task] = min(self._pending[task] + 1, PENDING_LIMIT)
            if self._thread is None:
                self._thread = threading.Thread(target=self._publish, name="bell", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _publish(self) -> None:
        while True:
            with self._changed:
                while not self._pending.total() and not self._closed:
                    self._changed.wait()
                if not self._pending.total():
                    return
                task = next(task for task, count in self._pending.items() if count)
                self._pending[task] -= 1
            try:
                rung = self.ring_now(task)
            except Exception:
                log.exception("Could not ring %s", self._queues[task])
                rung = False
            if not rung:
                with self._changed:  # the others would only wait for the same broker in turn
                    self._pending.clear()

    @staticmethod
    def _waiting(producer: object, queue: str) -> int:
        """Return how many messages the queue holds, by one round trip."""
        channel = producer.channel  # type: ignore[attr-defined]
        return int(channel._size(queue))  # what a declaration of the queue would answer
