"""Workers that have been heard of."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from app.answers import WorkerOut, WorkersOut
from app.dependencies import StoreDep
from app.outputs import worker_out, workers_out
from store.workers import request_drain

router = APIRouter(prefix="/workers", tags=["workers"])

WorkerId = Annotated[str, Path(max_length=300, examples=["lab:4711:0a1b2c3d"])]


@router.get("")
def index(store: StoreDep) -> WorkersOut:
    """List the workers heard of lately; `age_s` says how lately."""
    return WorkersOut(workers=workers_out(store))


@router.post("/{worker_id}/drain")
def drain(store: StoreDep, worker_id: WorkerId) -> WorkerOut:
    """Ask a worker to finish what it is at and to take nothing new."""
    request_drain(store, worker_id)
    return worker_out(store, worker_id)


@router.post("/{worker_id}/resume")
def resume(store: StoreDep, worker_id: WorkerId) -> WorkerOut:
    """Let a worker take runs again."""
    request_drain(store, worker_id, drain=False)
    return worker_out(store, worker_id)
