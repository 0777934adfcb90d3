"""What the Run page's buttons do: pausing, its place in the queue, baseline, tags, further runs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.api.run_wishes import ContinueIn, PriorityIn, SeedsIn
from app.bodies import form_model
from app.bulk import typed_tags
from app.dependencies import BellDep, Owner, RunDep, SettingsDep, StoreDep
from app.pages.run import run_context
from app.pages.run_parts import RunView, part_of
from app.pages.run_wish_forms import WishForm
from app.pages.templating import render
from app.security import CSRF_FIELD, CheckedForm
from app.wishes import continue_run, more_seeds, resume_run
from store.database import Store
from store.labels import pin, set_tags
from store.lifecycle import request_pause, set_priority
from store.rows import RunRow
from store.settings import Settings
from trainer.errors import InvalidInput

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
def priority(
    request: Request, store: StoreDep, settings: SettingsDep, row: RunDep, form: CheckedForm
) -> Response:
    """Let a waiting run go sooner or later and show it, or what is wrong."""
    try:
        set_priority(store, row.id, form_model(PriorityIn, form).priority)
    except InvalidInput as error:
        return _again(request, store, settings, row, "priority", form, error)
    return back_to(request, row.id)


@router.post("/runs/{run_id}/baseline", name="run_baseline")
def baseline(request: Request, store: StoreDep, row: RunDep, form: CheckedForm) -> RedirectResponse:
    """Make a run its dataset's baseline, or no longer, and show it."""
    pin(store, row.id, pinned=form.get("pinned") == "yes")
    return back_to(request, row.id)


@router.post("/runs/{run_id}/tags", name="run_tags")
def tags(
    request: Request, store: StoreDep, settings: SettingsDep, row: RunDep, form: CheckedForm
) -> Response:
    """Replace a run's tags and show it, or what is wrong."""
    try:
        set_tags(store, row.id, typed_tags(str(form.get("tags", ""))))
    except InvalidInput as error:
        return _again(request, store, settings, row, "tags", form, error)
    return back_to(request, row.id)


@router.post("/runs/{run_id}/continue", name="run_continue")
def go_on(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    row: RunDep,
    form: CheckedForm,
) -> Response:
    """Queue a run for more epochs and show it, or what is wrong."""
    try:
        wish = form_model(ContinueIn, form)
        made = continue_run(store, settings, bell, row, wish.epochs, wish.schedule, owner=owner)
    except InvalidInput as error:
        return _again(request, store, settings, row, "continue", form, error)
    return back_to(request, made.id)


@router.post("/runs/{run_id}/seeds", name="run_seeds")
def repeat(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    row: RunDep,
    form: CheckedForm,
) -> Response:
    """Queue runs with other seeds and show which, or what is wrong."""
    try:
        more_seeds(store, settings, bell, row, form_model(SeedsIn, form).wanted, owner=owner)
    except InvalidInput as error:
        return _again(request, store, settings, row, "seeds", form, error)
    path = request.app.url_path_for("run_page", run_id=row.id)
    return RedirectResponse(f"{path}#run-relatives", 303)


def _again(
    request: Request,
    store: Store,
    settings: Settings,
    row: RunRow,
    name: str,
    form: FormData,
    error: InvalidInput,
) -> HTMLResponse:
    """Show the run with a form as it was filled in and what is wrong with that."""
    values = {key: str(value) for key, value in form.items() if key != CSRF_FIELD}
    forms = {name: WishForm(values, error.errors)}
    part = part_of(request, store, row, RunView())
    page = run_context(store, settings, row, part, forms=forms)
    return render(request, "pages/run.html", page, 422)
