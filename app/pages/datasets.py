"""The Datasets page: the list, and the ways to add one; `dataset.py` shows a single one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathPart
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.answers import DatasetOut
from app.api.uploads import UploadOut, upload_out
from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.outputs import dataset_out
from app.pages.templating import render
from app.resumable import find, list_open, remove
from app.security import CheckedForm, check_form_token
from app.submit import add_dataset
from app.uploads import receive_archive, register_upload
from store.database import Store
from store.datasets import list_datasets
from store.settings import Settings
from trainer.datasets.catalogue import CatalogueEntry, catalogue_entries
from trainer.errors import FieldError, TuneboardError

KINDS = ("catalogue", "folder", "upload")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class AddForm:
    """One of the forms that add a dataset, as filled in."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[FieldError, ...] = ()
    problem: str = ""
    """What is wrong beside any field."""

    def value(self, name: str) -> str:
        """Return what was typed into a field."""
        return self.values.get(name, "")

    def error(self, name: str) -> FieldError | None:
        """Return what is wrong with a field."""
        return next((error for error in self.errors if error.field == name), None)


@dataclass(frozen=True)
class DatasetsPage:
    """What `pages/datasets.html` shows."""

    datasets: tuple[DatasetOut, ...]
    catalogue: tuple[CatalogueEntry, ...]
    """Those that are not among the datasets."""
    roots: tuple[str, ...]
    forms: Mapping[str, AddForm]
    """By kind: catalogue, folder, upload."""
    upload_limit_bytes: int
    uploads: tuple[UploadOut, ...]
    """The owner's unfinished ones."""
    section: str = "datasets_page"


def datasets_context(
    store: Store, settings: Settings, owner: str, forms: Mapping[str, AddForm] | None = None
) -> DatasetsPage:
    """Gather the datasets, and the forms as filled in."""
    rows = list_datasets(store)
    known = {row.source for row in rows if row.kind == "catalogue"} | {row.name for row in rows}
    return DatasetsPage(
        datasets=tuple(dataset_out(row) for row in rows),
        catalogue=tuple(entry for entry in catalogue_entries() if entry.name not in known),
        roots=tuple(str(root) for root in settings.data_roots),
        forms={kind: (forms or {}).get(kind, AddForm()) for kind in KINDS},
        upload_limit_bytes=settings.upload_limit_bytes,
        uploads=tuple(upload_out(settings, one) for one in list_open(settings, owner)),
    )


@router.get("/datasets", name="datasets_page")
def datasets(
    request: Request, store: StoreDep, settings: SettingsDep, owner: Owner
) -> HTMLResponse:
    """Show the datasets and the ways to add one."""
    return render(request, "pages/datasets.html", datasets_context(store, settings, owner))


@router.get("/parts/datasets", name="datasets_live")
def datasets_live(
    request: Request, store: StoreDep, settings: SettingsDep, owner: Owner
) -> HTMLResponse:
    """Show the list alone, for a page that is already open."""
    page = datasets_context(store, settings, owner)
    return render(request, "partials/datasets_live.html", page)


@router.post("/datasets", name="dataset_add")
def add(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    form: CheckedForm,
) -> Response:
    """Add a dataset of the catalogue or a folder, or show what is wrong."""
    typed = {key: value for key, value in form.items() if isinstance(value, str)}
    kind = "catalogue" if typed.get("kind") == "catalogue" else "folder"
    name = typed.get("name", "").strip()
    try:
        add_dataset(
            store,
            settings,
            bell,
            name,
            kind,
            typed.get("source", "").strip(),
            owner=owner,
            labelled=typed.get("labelled") != "no",
        )
    except TuneboardError as error:
        return _refused(request, store, settings, owner, kind, typed, error)
    return RedirectResponse(request.app.url_path_for("dataset_page", name=name), 303)


@router.post("/datasets/uploads/{upload_id}/remove", name="upload_remove")
def remove_upload(
    request: Request,
    upload_id: Annotated[str, PathPart(min_length=1, max_length=64)],
    settings: SettingsDep,
    owner: Owner,
    _form: CheckedForm,
) -> Response:
    """Remove an unfinished upload and what has arrived of it."""
    remove(settings, find(settings, upload_id, owner).id)
    return RedirectResponse(request.app.url_path_for("datasets_page"), 303)


@router.post("/datasets/upload", name="dataset_upload")
async def upload(
    request: Request, store: StoreDep, settings: SettingsDep, bell: BellDep, owner: Owner
) -> Response:
    """Add a dataset from an archive, or show what is wrong with it."""
    typed: dict[str, str] = {}

    def check(fields: dict[str, str]) -> None:
        typed.update(fields)
        check_form_token(request, fields.get("csrf_token"))

    try:
        received = await receive_archive(request, settings, check)
        name = received.fields.get("name", "").strip()
        await run_in_threadpool(
            register_upload,
            store,
            settings,
            bell,
            received,
            name=name,
            owner=owner,
            labelled=received.fields.get("labelled") != "no",
        )
    except TuneboardError as error:
        if error.status not in {409, 422}:
            raise
        return await run_in_threadpool(
            _refused, request, store, settings, owner, "upload", typed, error
        )
    return RedirectResponse(request.app.url_path_for("dataset_page", name=name), 303)


def _refused(
    request: Request,
    store: Store,
    settings: Settings,
    owner: str,
    kind: str,
    typed: Mapping[str, str],
    error: TuneboardError,
) -> HTMLResponse:
    """Show the list with what was typed and what is wrong with it."""
    beside = {"name", "source", "file"}
    placed = tuple(item for item in error.errors if item.field in beside)
    problem = "" if placed else str(error)
    form = AddForm(typed, placed, problem)
    page = datasets_context(store, settings, owner, {kind: form})
    return render(request, "pages/datasets.html", page, error.status)
