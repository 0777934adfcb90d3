"""The Datasets pages: the list, adding one, one dataset's images and counts, removing it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.answers import DatasetOut, RunOut
from app.dependencies import BellDep, DatasetDep, DatasetName, Owner, SettingsDep, StoreDep
from app.figures.bars import class_counts_figure
from app.figures.style import Figure
from app.images import image_url, ready_manifest
from app.outputs import dataset_out, run_outs
from app.pages.templating import render
from app.security import CheckedForm, check_form_token
from app.submit import add_dataset
from app.uploads import receive_archive, register_upload, uploads_dir
from store.database import Store
from store.datasets import delete_dataset, list_datasets
from store.rows import DatasetRow
from store.runs import list_runs
from store.settings import Settings
from trainer.datasets.catalogue import CatalogueEntry, catalogue_entries
from trainer.errors import Conflict, FieldError, TuneboardError

IMAGES_PER_CLASS = 8
CLASSES_SHOWN = 20
RUNS_SHOWN = 20
KINDS = ("catalogue", "folder", "upload")
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}

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
    section: str = "datasets_page"


@dataclass(frozen=True)
class Sample:
    """An image to show."""

    path: str
    split: str
    image: str


@dataclass(frozen=True)
class DatasetPage:
    """What `pages/dataset.html` shows."""

    dataset: DatasetOut
    figure: Figure
    samples: tuple[tuple[str, tuple[Sample, ...]], ...]
    """Class name and some of its images."""
    runs: tuple[RunOut, ...]
    sizes: Mapping[str, Mapping[str, int]]
    problem: str = ""
    section: str = "datasets_page"
    split_names: Mapping[str, str] = field(default_factory=lambda: SPLIT_NAMES)


def datasets_context(
    store: Store, settings: Settings, forms: Mapping[str, AddForm] | None = None
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
    )


def dataset_context(
    store: Store, settings: Settings, row: DatasetRow, problem: str = ""
) -> DatasetPage:
    """Gather what is known of a dataset."""
    dataset = dataset_out(row)
    return DatasetPage(
        dataset=dataset,
        figure=class_counts_figure(
            dataset.classes,
            {SPLIT_NAMES.get(split, split): counts for split, counts in dataset.counts.items()},
        ),
        samples=_samples(settings, row) if row.status == "ready" else (),
        runs=tuple(run_outs(store, list_runs(store, dataset=row.name, limit=RUNS_SHOWN).rows)),
        sizes=row.summary.get("sizes", {}),
        problem=problem,
    )


@router.get("/datasets", name="datasets_page")
def datasets(request: Request, store: StoreDep, settings: SettingsDep) -> HTMLResponse:
    """Show the datasets and the ways to add one."""
    return render(request, "pages/datasets.html", datasets_context(store, settings))


@router.get("/parts/datasets", name="datasets_live")
def datasets_live(request: Request, store: StoreDep, settings: SettingsDep) -> HTMLResponse:
    """Show the list alone, for a page that is already open."""
    return render(request, "partials/datasets_live.html", datasets_context(store, settings))


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
        add_dataset(store, settings, bell, name, kind, typed.get("source", "").strip(), owner=owner)
    except TuneboardError as error:
        return _refused(request, store, settings, kind, typed, error)
    return RedirectResponse(request.app.url_path_for("dataset_page", name=name), 303)


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
            register_upload, store, settings, bell, received, name=name, owner=owner
        )
    except TuneboardError as error:
        if error.status not in {409, 422}:
            raise
        return await run_in_threadpool(_refused, request, store, settings, "upload", typed, error)
    return RedirectResponse(request.app.url_path_for("dataset_page", name=name), 303)


@router.get("/datasets/{name}", name="dataset_page")
def dataset(
    request: Request, store: StoreDep, settings: SettingsDep, row: DatasetDep
) -> HTMLResponse:
    """Show a dataset."""
    return render(request, "pages/dataset.html", dataset_context(store, settings, row))


@router.get("/parts/datasets/{name}", name="dataset_live")
def dataset_live(
    request: Request, store: StoreDep, settings: SettingsDep, row: DatasetDep
) -> HTMLResponse:
    """Show the parts that change, for a page that is already open."""
    return render(request, "partials/dataset_live.html", dataset_context(store, settings, row))


@router.post("/datasets/{name}/delete", name="dataset_delete")
def delete(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    row: DatasetDep,
    name: DatasetName,
    _form: CheckedForm,
) -> Response:
    """Remove a dataset, or say which runs still need it."""
    try:
        removed = delete_dataset(store, name)
    except Conflict as error:
        page = dataset_context(store, settings, row, str(error))
        return render(request, "pages/dataset.html", page, error.status)
    shutil.rmtree(settings.dataset_dir(removed.id), ignore_errors=True)
    if removed.kind == "upload":
        (uploads_dir(settings) / removed.source).unlink(missing_ok=True)
    return RedirectResponse(request.app.url_path_for("datasets_page"), 303)


def _refused(
    request: Request,
    store: Store,
    settings: Settings,
    kind: str,
    typed: Mapping[str, str],
    error: TuneboardError,
) -> HTMLResponse:
    """Show the list with what was typed and what is wrong with it."""
    beside = {"name", "source", "file"}
    placed = tuple(item for item in error.errors if item.field in beside)
    problem = "" if placed else str(error)
    form = AddForm(typed, placed, problem)
    page = datasets_context(store, settings, {kind: form})
    return render(request, "pages/datasets.html", page, error.status)


def _samples(settings: Settings, row: DatasetRow) -> tuple[tuple[str, tuple[Sample, ...]], ...]:
    """Return some images of each of the first classes; none where the list is gone."""
    from trainer.datasets.thumbnails import sample_items  # Pillow comes with it

    try:
        manifest = ready_manifest(settings, row)
    except TuneboardError:
        return ()
    by_class: dict[int, list[Sample]] = {}
    for split, item in sample_items(manifest, IMAGES_PER_CLASS):
        by_class.setdefault(item.label, []).append(
            Sample(item.path, SPLIT_NAMES.get(split, split), image_url(row, item.path))
        )
    return tuple(
        (manifest.classes[label], tuple(found))
        for label, found in sorted(by_class.items())[:CLASSES_SHOWN]
    )
