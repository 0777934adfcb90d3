"""A bell that is hung when it is first rung: Celery and its Redis client cost 15 MB to import."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from app.dependencies import Rings
from store.settings import Settings

log = logging.getLogger(__name__)


class LateBell:
    """Rings through `worker.bell.Bell` from a thread of its own; its methods return at once."""

    def __init__(self, settings: Settings, make: Callable[[Settings], Rings] | None = None) -> None:
        self._settings = settings
        self._make = make or _make_bell
        self._bell: Rings | None = None
        self._thread = ThreadPoolExecutor(1, "bell")

    def ring_train(self) -> None:
        """Tell the training workers that a run may be waiting."""
        self._thread.submit(self._ring, "ring_train")

    def ring_interactive(self) -> None:
        """Tell the interactive workers that a dataset or a job may be waiting."""
        self._thread.submit(self._ring, "ring_interactive")

    def close(self) -> None:
        """Let the connections go."""
        self._thread.shutdown(wait=True)
        if self._bell is not None:
            self._bell.close()

    def _ring(self, method: str) -> None:
        try:
            if self._bell is None:
                self._bell = self._make(self._settings)
            getattr(self._bell, method)()
        except Exception:  # the next tick finds the work
            log.exception("Could not ring the bell")


def _make_bell(settings: Settings) -> Rings:
    from worker.bell import Bell

    return Bell(settings)
