"""Workers that have been heard of."""

from __future__ import annotations

from fastapi import APIRouter

from app.answers import WorkersOut
from app.dependencies import StoreDep
from app.outputs import workers_out

router = APIRouter(prefix="/workers", tags=["workers"])


@router.get("")
def index(store: StoreDep) -> WorkersOut:
    """List the workers heard of lately; `age_s` says how lately."""
    return WorkersOut(workers=workers_out(store))
