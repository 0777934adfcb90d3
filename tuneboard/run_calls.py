"""The client's calls about a run that is there: paused, moved in the queue, continued, repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tuneboard.connection import Connection


class RunCalls(Connection):
    """The part of `tuneboard.Client` that asks something of a run."""

    def cancel(self, run_id: int) -> dict[str, Any]:
        """Ask for a run to be stopped, and return it."""
        return self._object("POST", f"runs/{run_id}/cancel")

    def pause(self, run_id: int) -> dict[str, Any]:
        """Ask for a run to be stopped at a checkpoint, and return it."""
        return self._object("POST", f"runs/{run_id}/pause")

    def resume(self, run_id: int) -> dict[str, Any]:
        """Queue a paused run again, and return it."""
        return self._object("POST", f"runs/{run_id}/resume")

    def set_priority(self, run_id: int, priority: int) -> dict[str, Any]:
        """Let a waiting run go sooner (a higher number) or later, and return it."""
        return self._object("POST", f"runs/{run_id}/priority", json={"priority": priority})

    def continue_run(
        self,
        run_id: int,
        epochs: int,
        *,
        schedule: Literal["go_on", "restart"] | None = None,
    ) -> dict[str, Any]:
        """Train a run that has succeeded for more epochs, and return the new run.

        Args:
            run_id: Stays as it is; the new run begins with its checkpoint and curves.
            epochs: Added to those it has done.
            schedule: restart: the schedule of the learning rate begins again over them; needed
                where it was planned over the run's length (cosine, one_cycle).
        """
        body = {"epochs": epochs, "schedule": schedule}
        return self._object("POST", f"runs/{run_id}/continue", json=body)

    def repeat(
        self, run_id: int, *, count: int | None = None, seeds: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Launch runs that differ from one in nothing but the seed, and return them.

        Args:
            run_id: Whose settings.
            count: So many seeds that have not been used.
            seeds: In place of `count`: these.
        """
        body = {"count": count} if seeds is None else {"seeds": list(seeds)}
        found: list[dict[str, Any]] = self._object("POST", f"runs/{run_id}/seeds", json=body)[
            "runs"
        ]
        return found
