"""The Run page's parts about an evaluation: matrix and classes, images to look at, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse

from app.api.evaluated_images import images_version
from app.calibration import Calibration, calibration
from app.dependencies import RunDep, SettingsDep, StoreDep
from app.figures.calibration import calibration_figure
from app.figures.confusion import (
    Cells,
    Confused,
    confused_pairs,
    confusion_figure,
    confusion_infos,
)
from app.figures.style import Figure, run_style
from app.flips import Gallery, cell
from app.leaks import Clean, clean_accuracies
from app.looks import LOOKS, SEED_LIMIT, Look, look
from app.pages.gallery import Card, cards
from app.pages.templating import render
from app.predictions import predictions
from app.splits import SPLIT_NAMES, Split
from store.database import Store
from store.evaluations import evaluations
from store.rows import EvaluationRow, RunRow
from store.settings import Settings
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput, NotFound

PAIRS_LIMIT = 20

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class RunView:
    """What the parts show, as the address holds it."""

    split: Split | None = None
    cells: Cells = "counts"
    cell: tuple[int, int] | None = None
    """True and predicted class of the cell whose images are shown."""
    cell_page: int = 1
    query: tuple[tuple[str, str], ...] = ()


def _run_view(
    request: Request,
    split: Split | None = None,
    cm: Cells = "counts",
    cell: Annotated[str, Query(max_length=40, description="RUN-TRUE-PREDICTED.")] = "",
    cellpage: Annotated[int, Query(ge=1, le=ID_LIMIT)] = 1,
) -> RunView:
    return RunView(split, cm, _place(cell), cellpage, tuple(request.query_params.multi_items()))


RunViewDep = Annotated[RunView, Depends(_run_view)]


@dataclass(frozen=True)
class Part:
    """An evaluation of a run, and the addresses of the page that shows it."""

    run: RunRow
    rows: tuple[EvaluationRow, ...]
    row: EvaluationRow
    view: RunView
    path: str

    @property
    def split_name(self) -> str:
        """What the split is called in a sentence."""
        return SPLIT_NAMES.get(self.row.split, self.row.split)

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return [one["name"] for one in self.row.classes]

    @property
    def search(self) -> str:
        """The query that this was made for, with its question mark."""
        return f"?{urlencode(list(self.view.query))}" if self.view.query else ""

    def name_of(self, split: str) -> str:
        """Return what a split is called at the head of something."""
        return SPLIT_NAMES.get(split, split).capitalize()

    def address(self, anchor: str = "", **changes: str | int | None) -> str:
        """Return the page's address with changes; None takes a parameter away."""
        kept = [(key, value) for key, value in self.view.query if key not in changes]
        added = [(key, str(value)) for key, value in changes.items() if value is not None]
        query = urlencode(kept + added)
        return f"{self.path}{'?' if query else ''}{query}{f'#{anchor}' if anchor else ''}"


@dataclass(frozen=True)
class Opened:
    """The images in a cell of the matrix."""

    true: int
    predicted: int
    gallery: Gallery | None = None
    cards: tuple[Card, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ResultsPart:
    """What `partials/run_confusion.html` shows."""

    part: Part
    figure: Figure
    pairs: tuple[Confused, ...]
    opened: Opened | None
    without: Clean | None
    """Without images that are among the training images too; None where there are none."""


@dataclass(frozen=True)
class LooksPart:
    """What `partials/run_looks.html` shows."""

    part: Part
    which: Look
    seed: int
    gallery: Gallery | None = None
    cards: tuple[Card, ...] = ()
    problem: str = ""
    looks: tuple[Look, ...] = LOOKS


@dataclass(frozen=True)
class CalibrationPart:
    """What `partials/run_calibration.html` shows."""

    part: Part
    found: Calibration | None = None
    figure: Figure | None = None
    problem: str = ""


def part_of(request: Request, store: Store, row: RunRow, view: RunView) -> Part | None:
    """Return the evaluation to show: of the split asked for, else validation; None: of none."""
    rows = sorted(evaluations(store, [row.id]), key=lambda one: one.split != "val")
    if not rows:
        return None
    chosen = next((one for one in rows if one.split == view.split), rows[0])
    path = str(request.app.url_path_for("run_page", run_id=row.id))
    return Part(row, tuple(rows), chosen, view, path)


def results_part(store: Store, settings: Settings, part: Part) -> ResultsPart:
    """Return the confusion matrix, the classes, and the images of the cell that is open."""
    row = part.row
    title = f"Confusion on {part.split_name} images"
    (info,) = confusion_infos([(title, part.classes, row.confusion)], part.view.cells)
    figure = confusion_figure(info)
    for trace in figure["data"]:
        trace["meta"] = {"cells": str(row.run_id)}
    place = part.view.cell
    return ResultsPart(
        part,
        figure,
        tuple(confused_pairs([row.confusion], PAIRS_LIMIT)),
        _opened(store, settings, part, *place) if place else None,
        clean_accuracies(store, settings, {row.run_id: part.run.spec}, [row]).get(
            (row.run_id, row.split)
        ),
    )


@router.get("/parts/runs/{run_id}/confusion", name="run_confusion")
def confusion_part(
    request: Request, store: StoreDep, settings: SettingsDep, row: RunDep, view: RunViewDep
) -> HTMLResponse:
    """Show the matrix and the classes alone, for a page that is already open."""
    page = results_part(store, settings, _evaluated(request, store, row, view))
    return render(request, "partials/run_confusion.html", page)


@router.get("/parts/runs/{run_id}/looks", name="run_looks")
def looks_part(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    row: RunDep,
    view: RunViewDep,
    show: Look = "mistakes",
    seed: Annotated[int, Query(ge=0, le=SEED_LIMIT)] = 0,
    page: Annotated[int, Query(ge=1, le=ID_LIMIT)] = 1,
) -> HTMLResponse:
    """Show images to look at, for a page that is already open."""
    part = _evaluated(request, store, row, view)
    try:
        found = look(settings, part.row, show, page=page, seed=seed)
    except NotFound as error:
        shown = LooksPart(part, show, seed, problem=str(error))
    else:
        shown = LooksPart(part, show, seed, found, _cards(store, part, found))
    return render(request, "partials/run_looks.html", shown)


@router.get("/parts/runs/{run_id}/calibration", name="run_calibration")
def calibration_part(
    request: Request, store: StoreDep, settings: SettingsDep, row: RunDep, view: RunViewDep
) -> HTMLResponse:
    """Show how far the run's confidence can be believed, for a page that is already open."""
    part = _evaluated(request, store, row, view)
    try:
        found = calibration(predictions(settings, part.row))
    except NotFound as error:
        shown = CalibrationPart(part, problem=str(error))
    else:
        shown = CalibrationPart(part, found, calibration_figure(found, run_style(row.id).colour))
    return render(request, "partials/run_calibration.html", shown)


def _evaluated(request: Request, store: Store, row: RunRow, view: RunView) -> Part:
    part = part_of(request, store, row, view)
    if part is None:
        raise NotFound(f"Run {row.id} has not been evaluated yet.", "It is when it ends.")
    return part


def _opened(store: Store, settings: Settings, part: Part, true: int, predicted: int) -> Opened:
    try:
        found = cell(settings, part.row, true, predicted, part.view.cell_page)
    except NotFound as error:
        return Opened(true, predicted, problem=str(error))
    return Opened(true, predicted, found, _cards(store, part, found))


def _cards(store: Store, part: Part, found: Gallery) -> tuple[Card, ...]:
    version = images_version(store, part.run)
    return cards(found, [part.row], {part.run.id: part.run.name}, version)


def _place(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    numbers = [one for one in text.split("-") if one.isascii() and one.isdecimal()]
    if len(numbers) == 3 == text.count("-") + 1 and max(map(len, numbers)) < 10:
        return int(numbers[1]), int(numbers[2])
    raise InvalidInput.of(FieldError("cell", text, "RUN-TRUE-PREDICTED, such as 7-0-2"))
