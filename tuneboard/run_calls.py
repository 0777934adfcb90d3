"""The client's calls about a run that is there: paused, resumed, moved in the queue, cancelled."""

from __future__ import annotations

from typing import Any

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
