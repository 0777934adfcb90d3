"""What users ask of runs that are there: pause, resume, go sooner or later."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.answers import RunOut
from app.dependencies import BellDep, JsonBody, RunDep, RunId, StoreDep
from app.outputs import run_out
from app.wishes import resume_run
from store.lifecycle import request_pause, set_priority

PRIORITY_LIMIT = 1_000

router = APIRouter(prefix="/runs", tags=["runs"])

Priority = Annotated[
    int, Field(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT, description="Higher goes first.")
]


class PriorityIn(BaseModel):
    """Which of the waiting runs goes first."""

    model_config = ConfigDict(extra="forbid")

    priority: Priority


@router.post("/{run_id}/pause")
def pause(store: StoreDep, run_id: RunId) -> RunOut:
    """Pause a run: a queued one at once, a running one once it has written a checkpoint.

    A paused run holds no worker; it goes on from that checkpoint when it is resumed, and ends with
    the metrics of a run that was never paused.
    """
    return run_out(store, request_pause(store, run_id))


@router.post("/{run_id}/resume")
def resume(store: StoreDep, bell: BellDep, run: RunDep) -> RunOut:
    """Queue a paused run again, or take back a pause that has not come about yet."""
    return run_out(store, resume_run(store, bell, run))


@router.post("/{run_id}/priority", dependencies=[JsonBody])
def priority(store: StoreDep, run_id: RunId, wish: PriorityIn) -> RunOut:
    """Let a queued or paused run go sooner or later; 409 once it runs or has ended."""
    return run_out(store, set_priority(store, run_id, wish.priority))
