"""The Compare page: chosen runs over each other; its address holds the whole view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from app.dependencies import StoreDep
from app.figures.compare import RUNS_LIMIT, CompareInfo, compare_figures, compare_info
from app.figures.confusion import Cells
from app.figures.style import Figure
from app.pages.compare_curves import CurvesPart, CurvesView, CurvesViewDep, curves_part
from app.pages.templating import render
from store.database import Store
from store.rows import RunRow
from store.runs import list_runs
from store.values import ID_LIMIT

PICKER_RUNS = 200
DEFAULTS = {"cm": "counts"}
"""Parameters that an address leaves out where they have these values."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ComparePage:
    """What `pages/compare.html` shows."""

    info: CompareInfo
    figures: Mapping[str, Figure]
    curves: CurvesPart
    kept: tuple[tuple[str, str], ...]
    """The address's parameters but the runs: links keep them."""
    cells: Cells
    others: tuple[RunRow, ...]
    """Runs that could be added."""
    best: Mapping[str, float]
    """Column → the best value in it, where two or more runs have one."""
    runs_limit: int = RUNS_LIMIT
    section: str = "compare_page"

    @property
    def run_ids(self) -> tuple[int, ...]:
        """The runs shown, in order."""
        return tuple(run.id for run in self.info.runs)

    @property
    def has_reported(self) -> bool:
        """Whether anything was reported of one of the runs by a recipe's authors."""
        return any(row.reported_words for row in self.info.table)

    @property
    def confusions(self) -> tuple[tuple[int, Figure], ...]:
        """The matrices of the runs that were evaluated, in the runs' order."""
        return tuple(
            (run_id, self.figures[f"confusion_{run_id}"])
            for run_id in self.run_ids
            if f"confusion_{run_id}" in self.figures
        )

    @property
    def live_runs(self) -> dict[int, int]:
        """Runs that have not ended, with the number of the newest event known."""
        return {
            run.id: run.event_seq
            for run in self.info.runs
            if run.status in {"queued", "running", "paused"}
        }

    def address(self, path: str, without: int | None = None, **changes: str) -> str:
        """Return the address of this view at `path`, with changes to it."""
        parts: list[tuple[str, str]] = [
            ("run", str(run_id)) for run_id in self.run_ids if run_id != without
        ]
        parts += [(key, value) for key, value in self.kept if key not in changes]
        parts += [(key, value) for key, value in changes.items() if value != DEFAULTS.get(key)]
        return f"{path}?{urlencode(parts)}" if parts else path


def compare_context(
    store: Store,
    run_ids: list[int],
    view: CurvesView,
    cells: Cells,
    kept: Sequence[tuple[str, str]] = (),
) -> ComparePage:
    """Gather the comparison of those runs."""
    info = compare_info(store, run_ids)
    chosen = {run.id for run in info.runs}
    return ComparePage(
        info=info,
        figures=compare_figures(info, cells),
        curves=curves_part(info, view),
        kept=tuple((key, value) for key, value in kept if key != "run"),
        cells=cells,
        others=tuple(
            row for row in list_runs(store, limit=PICKER_RUNS).rows if row.id not in chosen
        ),
        best=_best(info),
    )


Runs = Annotated[list[Annotated[int, Query(ge=1, le=ID_LIMIT)]], Query(max_length=RUNS_LIMIT)]


@router.get("/compare", name="compare_page")
def compare(
    request: Request,
    store: StoreDep,
    view: CurvesViewDep,
    run: Runs = [],  # noqa: B006 - FastAPI copies it
    cm: Cells = "counts",
) -> HTMLResponse:
    """Show a comparison, or the picker where no run is chosen."""
    page = compare_context(store, run, view, cm, request.query_params.multi_items())
    return render(request, "pages/compare.html", page)


@router.get("/parts/compare", name="compare_live")
def compare_live(
    request: Request,
    store: StoreDep,
    view: CurvesViewDep,
    run: Runs = [],  # noqa: B006 - FastAPI copies it
    cm: Cells = "counts",
) -> HTMLResponse:
    """Show the parts that change, for a page that is already open."""
    page = compare_context(store, run, view, cm, request.query_params.multi_items())
    return render(request, "partials/compare_live.html", page)


def _best(info: CompareInfo) -> dict[str, float]:
    """Return the best of each column that has one; none for runs on different datasets."""
    if len({row.dataset for row in info.table}) > 1:
        return {}
    best = {}
    for column, better in (
        ("best_val_accuracy", max),
        ("final_val_accuracy", max),
        ("test_accuracy", max),
        ("macro_f1", max),
        ("calibration_error", min),
        ("best_val_loss", min),
        ("training_s", min),
        ("seconds_per_epoch", min),
    ):
        values = [getattr(row, column) for row in info.table]
        known = [value for value in values if value is not None]
        if len(known) > 1:
            best[column] = better(known)
    return best
