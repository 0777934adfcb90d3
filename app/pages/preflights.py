"""A preflight's page: how far it is, then what a run would be like."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.answers import JobOut
from app.dependencies import BellDep, JobDep, Owner, SettingsDep, StoreDep
from app.forms import spec_data, typed_values
from app.outputs import job_out
from app.pages.launch_context import Typed, launch_context
from app.pages.templating import render
from app.preflights import start_preflight
from app.security import CheckedForm
from store.database import Store
from store.datasets import get_dataset_by_id
from store.jobs import cancel_job
from store.queue import WORKER_SILENCE_S
from store.rows import JobRow
from store.workers import list_workers
from trainer.errors import Conflict, InvalidInput, NotFound
from trainer.parsing import parse_spec, parse_spec_text

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class PreflightPage:
    """What `pages/preflight.html` shows."""

    job: JobOut
    name: str
    epochs: int
    batch_size: int
    result: Mapping[str, Any] | None
    waits_for: str
    """What it waits for while it is queued."""
    typed: Mapping[str, str]
    """What the launch form would hold, by the names of its controls."""
    section: str = "launch_page"

    @property
    def is_busy(self) -> bool:
        """Whether it has not ended."""
        return self.job.state in {"queued", "running"}


def _page(store: Store, job: JobRow) -> PreflightPage:
    if job.kind != "preflight":
        raise NotFound(f"Job {job.id} is no preflight.")
    spec = parse_spec(job.payload["spec"])
    training = spec.training
    return PreflightPage(
        job_out(job),
        spec.display_name(),
        training.epochs,
        training.batch_size,
        job.result,
        _waits_for(store, job) if job.state == "queued" else "",
        {**typed_values(job.payload["spec"]), **job.payload.get("launch", {})},
    )


def _waits_for(store: Store, job: JobRow) -> str:
    with suppress(NotFound):
        if get_dataset_by_id(store, job.dataset_id or 0).status == "preparing":
            return "its dataset, which is being prepared"
    trains = any(
        worker.kind == "train" and not worker.drain_requested
        for worker in list_workers(store, WORKER_SILENCE_S)
    )
    return "a free slot of a training worker, beside no run" if trains else "a training worker"


@router.get("/preflights/{job_id}", name="preflight_page")
def show(request: Request, store: StoreDep, job: JobDep) -> HTMLResponse:
    """Show a preflight."""
    return render(request, "pages/preflight.html", _page(store, job))


@router.get("/parts/preflights/{job_id}", name="preflight_live")
def live(request: Request, store: StoreDep, job: JobDep) -> HTMLResponse:
    """Show the part that changes, for a page that is already open."""
    return render(request, "partials/preflight.html", _page(store, job))


@router.post("/preflights/{job_id}/cancel", name="preflight_cancel")
def cancel(request: Request, store: StoreDep, job: JobDep, _form: CheckedForm) -> RedirectResponse:
    """Stop a preflight; that it has just ended is no error."""
    page = _page(store, job)
    with suppress(Conflict):
        cancel_job(store, page.job.id)
    return RedirectResponse(request.app.url_path_for("preflight_page", job_id=page.job.id), 303)


@router.post("/launch/preflight", name="launch_preflight")
def start(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    form: CheckedForm,
) -> Response:
    """Try what the form or the YAML describes, or show what is wrong with it."""
    typed = Typed.of(form)
    is_yaml = form.get("source") == "yaml"
    try:
        spec = parse_spec_text(typed.yaml or "") if is_yaml else parse_spec(spec_data(typed.values))
        job = start_preflight(store, settings, bell, spec, owner=owner, launch=_launch(form, typed))
    except InvalidInput as error:
        page = launch_context(
            store,
            settings,
            typed,
            errors=() if is_yaml else error.errors,
            yaml_errors=error.errors if is_yaml else (),
        )
        return render(request, "pages/launch.html", page, 422)
    return RedirectResponse(request.app.url_path_for("preflight_page", job_id=job.id), 303)


def _launch(form: FormData, typed: Typed) -> dict[str, str]:
    """Return what was typed of the launch beside the spec."""
    given = {"priority": typed.priority, "note": typed.note, "study": typed.study}
    given |= {"acknowledge_leaks": "yes"} if typed.acknowledge_leaks else {}
    given |= {key: text for key, text in typed.values.items() if key.startswith("many_")}
    return {**given, "base": str(form.get("base", ""))}
