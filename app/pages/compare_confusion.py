"""The Compare page's confusion matrices, their difference, and the images in a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from app.api.evaluated_images import images_version
from app.dependencies import SettingsDep, StoreDep
from app.figures.confusion import (
    Cells,
    Confused,
    confused_pairs,
    confusion_figure,
    confusion_infos,
    difference_figure,
)
from app.figures.style import Figure
from app.flips import Gallery, cell, changed_cell
from app.pages.compare_view import Chosen, PartsViewDep, chosen
from app.pages.gallery import Card, cards
from app.pages.templating import render
from store.database import Store
from store.rows import EvaluationRow
from store.settings import Settings
from store.values import ID_LIMIT
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

CELLS_BUDGET = 25_000  # of all matrices together: two of 100 classes, all of a few
MATRICES_LIMIT = 6
PAIRS_LIMIT = 60
PAIRS_FIRST = 8  # shown at once
BOTH = "both"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Opened:
    """A cell whose images are shown."""

    key: str
    """Number of the run, or `both` for what changed between the two."""
    true: int
    predicted: int
    gallery: Gallery | None = None
    cards: tuple[Card, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ConfusionPart:
    """What `partials/compare_confusion.html` shows."""

    chosen: Chosen | None
    cells: Cells
    classes: tuple[str, ...] = ()
    matrices: tuple[tuple[int, Figure], ...] = ()
    """Run and figure: the baseline, the other run, then the rest as far as there is room."""
    difference: Figure | None = None
    """The other run's less the baseline's; None where they cannot be subtracted."""
    pairs: tuple[Confused, ...] = ()
    """Of the baseline and the other run."""
    left_out: int = 0
    """Evaluated runs whose matrices are not shown."""
    opened: Opened | None = None
    pairs_first: int = PAIRS_FIRST

    @property
    def pair_ids(self) -> tuple[int, ...]:
        """The runs that the pairs' counts are of, in order."""
        if self.chosen is None:
            return ()
        both = (self.chosen.baseline, self.chosen.other if self.difference else None)
        return tuple(run.id for run in both if run is not None)


@router.get("/parts/compare/confusion", name="compare_confusion")
def confusion_part(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    view: PartsViewDep,
    cm: Cells = "counts",
    cell: Annotated[
        str, Query(max_length=40, description="RUN-TRUE-PREDICTED, or both-TRUE-PREDICTED.")
    ] = "",
    cellpage: Annotated[int, Query(ge=1, le=ID_LIMIT)] = 1,
) -> HTMLResponse:
    """Show the matrices alone, for a page that is already open."""
    found = chosen(store, view)
    part = _part(store, settings, found, cm, _place(cell), cellpage)
    return render(request, "partials/compare_confusion.html", part)


def _part(
    store: Store,
    settings: Settings,
    found: Chosen | None,
    cells: Cells,
    place: tuple[str, int, int] | None,
    page: int,
) -> ConfusionPart:
    if found is None or not found.rows:
        return ConfusionPart(found, cells)
    first_two = [run.id for run in (found.baseline, found.other) if run is not None]
    ids = dict.fromkeys([*first_two, *(run.id for run in found.runs)])
    rows = [found.rows[run_id] for run_id in ids if run_id in found.rows]
    shown = _as_many_as_fit(rows)
    infos = confusion_infos(
        [(found.labels[row.run_id], _names(row), row.confusion) for row in shown], cells
    )
    pair = _pair(found)
    first = pair or shown[:1]
    return ConfusionPart(
        chosen=found,
        cells=cells,
        classes=tuple(_names(first[0])),
        matrices=tuple(
            (row.run_id, _clickable(confusion_figure(info), str(row.run_id)))
            for row, info in zip(shown, infos, strict=True)
        ),
        difference=_difference(pair, cells) if pair else None,
        pairs=tuple(confused_pairs([row.confusion for row in first], PAIRS_LIMIT)),
        left_out=len(rows) - len(shown),
        opened=_opened(store, settings, found, place, page) if place else None,
    )


def _as_many_as_fit(rows: Sequence[EvaluationRow]) -> list[EvaluationRow]:
    shown: list[EvaluationRow] = []
    size = 0
    for row in rows[:MATRICES_LIMIT]:
        size += len(row.classes) ** 2
        if shown and size > CELLS_BUDGET:
            break
        shown.append(row)
    return shown


def _pair(found: Chosen) -> list[EvaluationRow]:
    """Return the evaluations of the baseline and the other run, if their classes are the same."""
    rows = [found.rows.get(run.id) for run in (found.baseline, found.other) if run]
    known = [row for row in rows if row is not None]
    return known if len(known) == 2 and _names(known[0]) == _names(known[1]) else []


def _difference(pair: Sequence[EvaluationRow], cells: Cells) -> Figure:
    first, second = pair
    figure = difference_figure(
        "Change from the baseline", _names(first), first.confusion, second.confusion, cells
    )
    return _clickable(figure, BOTH)


def _clickable(figure: Figure, key: str) -> Figure:
    """Return the figure with the name that its cells have in the address."""
    for trace in figure["data"]:
        trace["meta"] = {"cells": key}
    return figure


def _opened(
    store: Store, settings: Settings, found: Chosen, place: tuple[str, int, int], page: int
) -> Opened:
    key, true, predicted = place
    try:
        if key == BOTH:
            pair = _pair(found)
            if not pair:
                raise NotFound("These two runs have no common classes to compare.")
            gallery, rows = changed_cell(settings, pair[0], pair[1], true, predicted, page), pair
        else:
            row = found.rows.get(int(key))
            if row is None:
                raise NotFound(f"Run {key} is not among these, or has no such evaluation.")
            gallery, rows = cell(settings, row, true, predicted, page), [row]
    except (NotFound, Conflict) as error:
        return Opened(key, true, predicted, problem=str(error))
    run = next(run for run in found.runs if run.id == rows[0].run_id)
    shown = cards(gallery, rows, found.labels, images_version(store, run))
    return Opened(key, true, predicted, gallery, shown)


def _place(text: str) -> tuple[str, int, int] | None:
    if not text:
        return None
    parts = text.split("-")
    numbers = [part for part in parts if part.isascii() and part.isdecimal() and len(part) < 11]
    if len(parts) == 3 and len(numbers) == 3 - (parts[0] == BOTH):
        return parts[0], int(parts[1]), int(parts[2])
    raise InvalidInput.of(
        FieldError("cell", text, "RUN-TRUE-PREDICTED or both-TRUE-PREDICTED, such as 7-0-2")
    )


def _names(row: EvaluationRow) -> list[str]:
    return [one["name"] for one in row.classes]
