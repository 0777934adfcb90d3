"""The Compare page's figures by class: a heat map, bars, a table, and macro F1's interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.dependencies import StoreDep
from app.figures.classes import (
    FIGURES,
    ClassLine,
    Figured,
    class_bars_figure,
    class_lines,
    classes_figure,
)
from app.figures.style import Figure
from app.pages.compare_view import Chosen, PartsViewDep, chosen
from app.pages.templating import render

INTERVALS_LIMIT = 20  # runs; a bootstrap of ten classes takes some 50 ms
INTERVALS_KEPT = 256

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ClassesPart:
    """What `partials/compare_classes.html` shows."""

    chosen: Chosen | None
    figured: Figured
    runs: tuple[tuple[int, str], ...] = ()
    """Those that were evaluated: number and label."""
    lines: tuple[ClassLine, ...] = ()
    heat: Figure | None = None
    bars: Figure | None = None
    macro: Mapping[int, tuple[float, tuple[float, float] | None]] | None = None
    """Run → macro F1 and its interval; None where there are too many runs."""

    @property
    def names(self) -> Mapping[Figured, str]:
        """What can be shown."""
        return FIGURES


@router.get("/parts/compare/classes", name="compare_classes")
def classes_part(
    request: Request, store: StoreDep, view: PartsViewDep, figure: Figured = "f1"
) -> HTMLResponse:
    """Show the figures by class alone, for a page that is already open."""
    return render(request, "partials/compare_classes.html", _part(chosen(store, view), figure))


def _part(found: Chosen | None, figured: Figured) -> ClassesPart:
    rows = [found.rows[run.id] for run in found.runs if run.id in found.rows] if found else []
    if found is None or not rows:
        return ClassesPart(found, figured)
    runs = tuple((row.run_id, found.labels[row.run_id]) for row in rows)
    lines = class_lines(rows, figured)
    macro: dict[int, tuple[float, tuple[float, float] | None]] = {}
    for row in rows:
        if row.macro_f1 is not None:
            counts = tuple(map(tuple, row.confusion))
            interval = _interval(counts) if len(rows) <= INTERVALS_LIMIT else None
            macro[row.run_id] = (row.macro_f1, interval)
    return ClassesPart(
        found,
        figured,
        runs,
        tuple(lines),
        classes_figure(lines, runs, figured),
        class_bars_figure(lines, runs, figured),
        macro,
    )


@lru_cache(maxsize=INTERVALS_KEPT)
def _interval(confusion: tuple[tuple[int, ...], ...]) -> tuple[float, float]:
    from app.statistics.bootstrap import macro_f1_interval  # nobody loads it at start-up

    return macro_f1_interval(confusion)
