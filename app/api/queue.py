"""The queue: which runs wait, in which order, and how to change that."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.answers import RunOut
from app.dependencies import JsonBody, StoreDep
from app.outputs import run_out, run_outs
from store.queue import move_run, queued_ids
from store.runs import get_run, runs_by_ids
from store.values import ID_LIMIT

QUEUE_LISTED = 200

router = APIRouter(prefix="/queue", tags=["queue"])


class QueueListOut(BaseModel):
    """Runs that wait, next first."""

    runs: list[RunOut]


class MoveIn(BaseModel):
    """Where to put a waiting run; with neither `before` nor `after`, last."""

    model_config = ConfigDict(extra="forbid")

    run: int = Field(ge=1, le=ID_LIMIT)
    before: int | None = Field(None, ge=1, le=ID_LIMIT, description="Waiting run to go ahead of.")
    after: int | None = Field(None, ge=1, le=ID_LIMIT, description="Waiting run to follow.")


@router.get("")
def index(
    store: StoreDep, limit: Annotated[int, Query(ge=1, le=1_000)] = QUEUE_LISTED
) -> QueueListOut:
    """List the runs that wait, in the order in which they will be taken."""
    return QueueListOut(runs=run_outs(store, runs_by_ids(store, queued_ids(store, limit))))


@router.post("/move", dependencies=[JsonBody])
def move(store: StoreDep, where: MoveIn) -> RunOut:
    """Put a waiting run elsewhere in the queue; it takes the nearest priority that fits there."""
    move_run(store, where.run, before=where.before, after=where.after)
    return run_out(store, get_run(store, where.run))
