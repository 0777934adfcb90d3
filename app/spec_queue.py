"""When a run launched now would begin: pure, from the outlook that the store gives."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, Field

from store.outlook import Outlook


class QueueOut(BaseModel):
    """Where the run would stand in the queue."""

    position: int = Field(description="1 is next.")
    ahead: int = Field(description="Queued runs that go first.")
    running: int
    slots: int = Field(description="Runs that this installation's workers train at a time.")
    starts_in_s: float | None = Field(description="Null where nobody can tell.")
    text: str


def queue_of(
    found: Outlook, device: str, total_s: Callable[[Mapping[str, Any]], float | None]
) -> QueueOut:
    """Return where a run would stand and when it would begin.

    Args:
        found: As the store gives it.
        device: `training.device`.
        total_s: Tells how long a queued run of a spec takes, or None.
    """
    slots = sum(one.count for one in found.slots if device != "cuda" or one.device == "cuda")
    running, ahead = len(found.running), found.ahead
    starts_in = _starts_in_s(found, slots, total_s)
    if not slots:
        text = (
            "No training worker is here; it starts when one is."
            if device != "cuda"
            else "No worker with a GPU is here; it starts when one is."
        )
    elif starts_in == 0:
        text = "A worker is free: it starts at once."
    else:
        busy = f"{running} running" if running else "none running"
        text = f"{ahead} queued before it, {busy}."
    return QueueOut(
        position=ahead + 1,
        ahead=ahead,
        running=running,
        slots=slots,
        starts_in_s=starts_in,
        text=text,
    )


def _starts_in_s(
    found: Outlook, slots: int, total_s: Callable[[Mapping[str, Any]], float | None]
) -> float | None:
    """Play the queue: each slot takes the next run when it is done."""
    if not slots:
        return None
    free = slots - len(found.running)
    if free > found.ahead:
        return 0.0
    busy = [left for left in found.running if left is not None]
    if len(busy) < len(found.running) or found.ahead > len(found.ahead_specs):
        return None
    times = [*[0.0] * max(0, free), *busy]
    heapq.heapify(times)
    for spec in found.ahead_specs:
        takes = total_s(spec)
        if takes is None:
            return None
        heapq.heappush(times, heapq.heappop(times) + takes)
    return times[0]
