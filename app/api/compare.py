"""Several runs side by side: the figures and the table of the Compare page."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.dependencies import StoreDep
from app.figures.compare import RUNS_LIMIT, compare_payload
from store.runs import runs_by_ids
from trainer.errors import NotFound

router = APIRouter(tags=["compare"])


@router.get("/compare")
def compare(
    store: StoreDep,
    run: Annotated[
        list[int], Query(min_length=1, max_length=RUNS_LIMIT, description="Runs, in order.")
    ],
) -> dict[str, Any]:
    """Return Plotly figures and a results table of the runs; 404 where one does not exist."""
    run_ids = list(dict.fromkeys(run))
    found = {row.id for row in runs_by_ids(store, run_ids)}
    for run_id in run_ids:
        if run_id not in found:
            raise NotFound(f"There is no run {run_id}.", "The Runs page lists those there are.")
    return compare_payload(store, run_ids, time.time())
