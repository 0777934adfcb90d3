"""One dataset's page: overview, images, a cut tried out, skipped files, runs, settings.

The views are links, so that every state of the page has an address and none needs JavaScript.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.answers import DatasetOut, RunOut
from app.dataset_cut import CUT_FIELDS, Cut, cut_of
from app.dependencies import DatasetDep, SettingsDep, StoreDep
from app.figures.bars import class_counts_figure, short_sides_figure
from app.figures.style import Figure
from app.images import ListedImage, listed, ready_manifest
from app.outputs import dataset_out, run_outs
from app.pages.duplicates import DuplicatesPart, duplicates_part
from app.pages.templating import render
from app.removal import freed_bytes, remove_dataset
from app.security import CheckedForm
from store.database import Store
from store.dataset_changes import DatasetUse, change_dataset, dataset_use
from store.rows import DatasetRow
from store.runs import list_runs
from store.settings import Settings
from trainer.errors import Conflict, FieldError, InvalidInput, TuneboardError

IMAGES_PER_PAGE = 60
SAMPLES_PER_CLASS = 8
CLASSES_SHOWN = 20
RUNS_SHOWN = 20
SPLIT_NAMES = {
    "train": "training",
    "val": "validation",
    "test": "test",
    "images": "images",
}

router = APIRouter(include_in_schema=False)

ViewName = Literal["overview", "images", "cut", "files", "runs", "settings"]


@dataclass(frozen=True)
class Tab:
    """A view of the page, as a link."""

    key: str
    label: str
    count: int | None = None


@dataclass(frozen=True)
class Grid:
    """Some of the images, of one split or class or of all."""

    split: str
    label: int | None
    number: int
    """Of the page, from 1."""
    pages: int
    total: int
    images: tuple[ListedImage, ...]

    def query(self, number: int) -> str:
        """Return what follows the question mark of the address of another page of the grid."""
        chosen = {"view": "images", "split": self.split, "label": self.label, "page": number}
        return urlencode({key: value for key, value in chosen.items() if value not in {None, ""}})


@dataclass(frozen=True)
class CutForm:
    """A cut as it was chosen, and what it gives or what is wrong with it."""

    values: Mapping[str, str]
    cut: Cut | None = None
    figure: Figure | None = None
    errors: tuple[FieldError, ...] = ()

    def value(self, name: str) -> str:
        """Return what was typed into a field, or its default."""
        return self.values.get(name, "")

    def error(self, name: str) -> FieldError | None:
        """Return what is wrong with a field."""
        return next((error for error in self.errors if error.field == name), None)

    @property
    def unplaced(self) -> tuple[FieldError, ...]:
        """What is wrong beside any field."""
        return tuple(error for error in self.errors if error.field not in CUT_FIELDS)


@dataclass(frozen=True)
class EditForm:
    """Name, title and description, as filled in."""

    values: Mapping[str, str]
    errors: tuple[FieldError, ...] = ()
    problem: str = ""
    saved: bool = False

    def error(self, name: str) -> FieldError | None:
        """Return what is wrong with a field."""
        return next((error for error in self.errors if error.field == name), None)


@dataclass(frozen=True)
class DatasetPage:
    """What `pages/dataset.html` shows; only the parts of the chosen view are there."""

    dataset: DatasetOut
    view: str
    tabs: tuple[Tab, ...]
    use: DatasetUse
    live_query: str
    """What the address of the live parts says after the question mark."""
    figure: Figure | None = None
    sides_figure: Figure | None = None
    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    samples: tuple[tuple[str, int, tuple[ListedImage, ...]], ...] = ()
    """Class, its number and some of its images."""
    duplicates: DuplicatesPart | None = None
    grid: Grid | None = None
    cut: CutForm | None = None
    runs: tuple[RunOut, ...] = ()
    edit: EditForm | None = None
    freed_bytes: int = 0
    problem: str = ""
    remedy: str = ""
    section: str = "datasets_page"
    split_names: Mapping[str, str] = field(default_factory=lambda: SPLIT_NAMES)


@dataclass(frozen=True)
class Asked:
    """What the address says of the view."""

    view: ViewName = "overview"
    split: str = ""
    label: int | None = None
    number: int = 1
    cut: Mapping[str, str] = field(default_factory=dict)
    saved: bool = False

    @property
    def query(self) -> str:
        """The address after the question mark, without what only a form needs."""
        chosen = {"view": self.view, "split": self.split, "label": self.label, "page": self.number}
        return urlencode({key: value for key, value in chosen.items() if value not in {None, ""}})


def _asked(
    request: Request,
    view: Annotated[ViewName, Query()] = "overview",
    split: Annotated[Literal["", "train", "val", "test", "images"], Query()] = "",
    label: Annotated[str, Query(max_length=10, pattern=r"^[0-9]*$")] = "",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> Asked:
    cut = {key: request.query_params[key] for key in CUT_FIELDS if key in request.query_params}
    number = int(label) if label else None
    return Asked(view, split, number, page, cut, "saved" in request.query_params)


def dataset_context(
    store: Store,
    settings: Settings,
    row: DatasetRow,
    asked: Asked | None = None,
    *,
    edit: EditForm | None = None,
    problem: str = "",
    remedy: str = "",
) -> DatasetPage:
    """Gather what a view of a dataset shows."""
    asked = asked or Asked()
    dataset = dataset_out(row)
    use = dataset_use(store, row.name)
    page = DatasetPage(
        dataset=dataset,
        view=asked.view,
        tabs=_tabs(dataset, use),
        use=use,
        live_query=asked.query,
        problem=problem,
        remedy=remedy,
    )
    is_ready = row.status == "ready"
    if asked.view == "overview":
        counts = {SPLIT_NAMES.get(key, key): value for key, value in dataset.counts.items()}
        return replace(
            page,
            figure=class_counts_figure(dataset.classes, counts) if dataset.classes else None,
            sides_figure=_sides_figure(dataset),
            sizes=row.summary.get("sizes", {}),
            samples=_samples(settings, row) if is_ready else (),
            duplicates=duplicates_part(store, settings, row) if is_ready else None,
        )
    if asked.view == "images" and is_ready:
        return replace(page, grid=_grid(settings, row, asked))
    if asked.view == "cut" and is_ready and row.labelled:
        return replace(page, cut=_cut_form(settings, row, asked.cut))
    if asked.view == "runs":
        runs = list_runs(store, dataset=row.name, limit=RUNS_SHOWN).rows
        return replace(page, runs=tuple(run_outs(store, runs)))
    if asked.view == "settings":
        values = {"name": row.name, "title": row.title, "description": row.description}
        return replace(
            page,
            edit=edit or EditForm(values, saved=asked.saved),
            freed_bytes=freed_bytes(settings, row),
        )
    return page


AskedDep = Annotated[Asked, Depends(_asked)]


@router.get("/datasets/{name}", name="dataset_page")
def dataset(
    request: Request, store: StoreDep, settings: SettingsDep, row: DatasetDep, asked: AskedDep
) -> HTMLResponse:
    """Show a view of a dataset."""
    page = dataset_context(store, settings, row, asked)
    status = 422 if page.cut is not None and page.cut.errors else 200
    return render(request, "pages/dataset.html", page, status)


@router.get("/parts/datasets/{name}", name="dataset_live")
def dataset_live(
    request: Request, store: StoreDep, settings: SettingsDep, row: DatasetDep, asked: AskedDep
) -> HTMLResponse:
    """Show the parts that change, for a page that is already open."""
    page = dataset_context(store, settings, row, asked)
    return render(request, "partials/dataset_live.html", page)


@router.post("/datasets/{name}/edit", name="dataset_edit")
def edit(
    request: Request, store: StoreDep, settings: SettingsDep, row: DatasetDep, form: CheckedForm
) -> Response:
    """Change a dataset's name, title and description, or show what is wrong with them."""
    typed = {key: str(form.get(key, "")) for key in ("name", "title", "description")}
    try:
        changed = change_dataset(
            store,
            row.name,
            new_name=typed["name"].strip(),
            title=typed["title"],
            description=typed["description"],
        )
    except (InvalidInput, Conflict) as error:
        wrong = EditForm(typed, error.errors, "" if error.errors else str(error))
        page = dataset_context(store, settings, row, Asked("settings"), edit=wrong)
        return render(request, "pages/dataset.html", page, error.status)
    address = request.app.url_path_for("dataset_page", name=changed.name)
    return RedirectResponse(f"{address}?view=settings&saved=1", 303)


@router.post("/datasets/{name}/delete", name="dataset_delete")
def delete(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    row: DatasetDep,
    _form: CheckedForm,
) -> Response:
    """Remove a dataset, or say which runs still need it."""
    try:
        remove_dataset(store, settings, row.name)
    except Conflict as error:
        page = dataset_context(
            store,
            settings,
            row,
            Asked("settings"),
            problem=error.detail,
            remedy=error.remedy,
        )
        return render(request, "pages/dataset.html", page, error.status)
    return RedirectResponse(request.app.url_path_for("datasets_page"), 303)


def _sides_figure(dataset: DatasetOut) -> Figure | None:
    """Return how large images are, where they are not all alike."""
    if dataset.measures.get("distinct", 0) < 2:
        return None
    return short_sides_figure(dataset.measures["short_sides"])


def _tabs(dataset: DatasetOut, use: DatasetUse) -> tuple[Tab, ...]:
    tabs = [Tab("overview", "Overview"), Tab("images", "Images", dataset.samples)]
    if dataset.labelled:
        tabs.append(Tab("cut", "Try a cut"))
    tabs.append(Tab("files", "Skipped files", dataset.skipped_total))
    if dataset.labelled:
        tabs.append(Tab("runs", "Runs", use.runs))
    return (*tabs, Tab("settings", "Name and deletion"))


def _samples(
    settings: Settings, row: DatasetRow
) -> tuple[tuple[str, int, tuple[ListedImage, ...]], ...]:
    """Return some images of each of the first classes; none where the list is gone."""
    from trainer.datasets.thumbnails import sample_items  # Pillow comes with it

    try:
        manifest = ready_manifest(settings, row)
    except TuneboardError:
        return ()
    by_class: dict[int, list[ListedImage]] = {}
    for image in listed(row, sample_items(manifest, SAMPLES_PER_CLASS)):
        by_class.setdefault(image.label, []).append(image)
    return tuple(
        (manifest.classes[label] if manifest.classes else "", label, tuple(found))
        for label, found in sorted(by_class.items())[:CLASSES_SHOWN]
    )


def _grid(settings: Settings, row: DatasetRow, asked: Asked) -> Grid | None:
    """Return a page of images; the last one where fewer pages are left. None without a list."""
    try:
        manifest = ready_manifest(settings, row)
    except TuneboardError:
        return None
    found = [
        (split, item)
        for split, item in manifest.items.values()
        if asked.split in {"", split} and asked.label in {None, item.label}
    ]
    pages = max(1, -(-len(found) // IMAGES_PER_PAGE))
    number = min(asked.number, pages)
    shown = found[(number - 1) * IMAGES_PER_PAGE : number * IMAGES_PER_PAGE]
    return Grid(asked.split, asked.label, number, pages, len(found), tuple(listed(row, shown)))


def _cut_form(settings: Settings, row: DatasetRow, values: Mapping[str, str]) -> CutForm:
    try:
        cut = cut_of(ready_manifest(settings, row), row.name, values)
    except InvalidInput as error:
        return CutForm(values, errors=error.errors)
    names = {SPLIT_NAMES[split]: numbers for split, numbers in cut.counts.items()}
    return CutForm(values, cut, class_counts_figure(row.summary.get("classes", []), names))
