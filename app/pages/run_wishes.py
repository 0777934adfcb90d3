"""What the Run page's buttons do: pause, resume, another place in the queue."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse

from app.api.run_wishes import PriorityIn
from app.bodies import form_model
from app.dependencies import BellDep, RunDep, StoreDep
from app.security import CheckedForm
from app.wishes import resume_run
from store.lifecycle import request_pause, set_priority

router = APIRouter(include_in_schema=False)


def back_to(request: Request, run_id: int) -> RedirectResponse:
    """Show the run."""
    return RedirectResponse(request.app.url_path_for("run_page", run_id=run_id), 303)


@router.post("/runs/{run_id}/pause", name="run_pause")
def pause(request: Request, store: StoreDep, row: RunDep, _form: CheckedForm) -> RedirectResponse:
    """Pause a run and show it."""
    request_pause(store, row.id)
    return back_to(request, row.id)


@router.post("/runs/{run_id}/resume", name="run_resume")
def resume(
    request: Request, store: StoreDep, bell: BellDep, row: RunDep, _form: CheckedForm
) -> RedirectResponse:
    """Queue a paused run again and show it."""
    resume_run(store, bell, row)
    return back_to(request, row.id)


@router.post("/runs/{run_id}/priority", name="run_priority")
def priority(request: Request, store: StoreDep, row: RunDep, form: CheckedForm) -> RedirectResponse:
    """Let a waiting run go sooner or later and show it."""
    set_priority(store, row.id, form_model(PriorityIn, form).priority)
    return back_to(request, row.id)
