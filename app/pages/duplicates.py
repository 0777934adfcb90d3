"""Duplicates on a dataset's page, and all of them on a page of their own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.answers import JobOut
from app.dependencies import BellDep, DatasetDep, JobId, Owner, SettingsDep, StoreDep
from app.duplicates import Found, Kind, find, look
from app.outputs import job_out
from app.pages.templating import render
from app.security import CheckedForm
from store.database import Store
from store.jobs import cancel_job, get_job, newest_job
from store.rows import DatasetRow
from store.settings import Settings
from trainer.errors import Conflict, NotFound, TuneboardError

FEW = 4
PAGE = 24

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class DuplicatesPart:
    """What `partials/duplicates.html` shows."""

    name: str
    title: str
    found: Found | None
    """None where the dataset is not ready, or its list of images is gone."""
    summary: dict[str, int]
    job: JobOut | None
    """The newest that looked for them."""
    kind: Kind = "all"
    page: int = 1
    whole: bool = False
    """Whether this is the page of its own."""

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-(self.found.total if self.found else 0) // PAGE))

    @property
    def is_busy(self) -> bool:
        """Whether somebody is looking, or is to."""
        return self.job is not None and self.job.state in {"queued", "running"}


@dataclass(frozen=True)
class DuplicatesPage:
    """What `pages/duplicates.html` shows."""

    duplicates: DuplicatesPart
    section: str = "datasets_page"


def duplicates_part(
    store: Store,
    settings: Settings,
    row: DatasetRow,
    kind: Kind = "all",
    page: int = 1,
    *,
    whole: bool = False,
) -> DuplicatesPart:
    """Gather what is known of a dataset's duplicates."""
    job = newest_job(store, "duplicates", row.id)
    found = None
    with suppress(TuneboardError):  # the page says what is wrong with the dataset
        size = PAGE if whole else FEW
        found = find(settings, row, kind, size, (page - 1) * size)
    return DuplicatesPart(
        name=row.name,
        title=row.title or row.name,
        found=found,
        summary=row.summary.get("duplicates") or {},
        job=job_out(job) if job else None,
        kind=kind,
        page=page,
        whole=whole,
    )


@router.get("/datasets/{name}/duplicates", name="duplicates_page")
def show(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    row: DatasetDep,
    kind: Annotated[Kind, Query()] = "all",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    """Show all groups, some at a time."""
    part = duplicates_part(store, settings, row, kind, page, whole=True)
    return render(request, "pages/duplicates.html", DuplicatesPage(part))


@router.get("/parts/datasets/{name}/duplicates", name="duplicates_live")
def live(request: Request, store: StoreDep, settings: SettingsDep, row: DatasetDep) -> HTMLResponse:
    """Show the first groups alone, for a dataset's page that is already open."""
    part = duplicates_part(store, settings, row)
    return render(request, "partials/duplicates.html", {"duplicates": part})


@router.post("/datasets/{name}/duplicates", name="duplicates_look")
def start(
    request: Request,
    store: StoreDep,
    bell: BellDep,
    owner: Owner,
    row: DatasetDep,
    _form: CheckedForm,
) -> RedirectResponse:
    """Have a dataset looked through."""
    look(store, bell, row, owner)
    return _back(request, row.name)


@router.post("/datasets/{name}/duplicates/jobs/{job_id}/cancel", name="duplicates_cancel")
def cancel(
    request: Request, store: StoreDep, row: DatasetDep, job_id: JobId, _form: CheckedForm
) -> RedirectResponse:
    """Stop looking; that it has just ended is no error."""
    job = get_job(store, job_id)
    if job.kind != "duplicates" or job.dataset_id != row.id:
        raise NotFound(f"The dataset `{row.name}` has no such job.")
    with suppress(Conflict):
        cancel_job(store, job.id)
    return _back(request, row.name)


def _back(request: Request, name: str) -> RedirectResponse:
    address = request.app.url_path_for("dataset_page", name=name)
    return RedirectResponse(f"{address}#duplicates", 303)
