"""The Compare page: chosen runs over each other; its address holds the whole view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.dependencies import SettingsDep, StoreDep
from app.figures.compare import RUNS_LIMIT, CompareInfo, compare_info
from app.pages.compare_curves import (
    CurvesPart,
    CurvesView,
    CurvesViewDep,
    curves_part,
    first_query,
)
from app.pages.compare_results import ResultsPart, ResultsView, ResultsViewDep, results_part
from app.pages.compare_share import ADDING, SharePart, number_in, share_part
from app.pages.compare_specs import SpecsPart, specs_part
from app.pages.templating import render
from store.database import Store
from store.settings import Settings
from store.values import ID_LIMIT

TABLES_AT_ONCE = 50
"""Runs whose tables come with the page: those of 500 were two thirds of it and of its time."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ComparePage:
    """What `pages/compare.html` shows."""

    info: CompareInfo
    curves: CurvesPart
    first_query: str
    """What the script will ask for the first figure; empty where it is not known here."""
    kept: tuple[tuple[str, str], ...]
    """The address's parameters but the runs: links keep them."""
    results: ResultsPart | None
    """None where so many runs are compared that the table comes after the curves."""
    specs: SpecsPart | None
    """None where `results` is."""
    share: SharePart
    runs_limit: int = RUNS_LIMIT
    section: str = "compare_page"

    @property
    def is_judged_pair(self) -> bool:
        """Whether these are two runs on the same images, whose verdict takes more room."""
        found = Counter((one.split, one.samples_fingerprint) for one in self.info.evaluations)
        return len(self.info.runs) == 2 and 2 in found.values()

    @property
    def verdict_lines(self) -> tuple[str, ...]:
        """Runs of which the verdict will have a line each, to keep its place until it is there."""
        others = self.run_ids[1:] if len(self.run_ids) > 2 else ()
        return tuple(self.info.labels[run_id] for run_id in others)

    @property
    def run_ids(self) -> tuple[int, ...]:
        """The runs shown, in order."""
        return tuple(run.id for run in self.info.runs)

    @property
    def live_runs(self) -> dict[int, int]:
        """Runs that have not ended, with the number of the newest event known."""
        return {
            run.id: run.event_seq
            for run in self.info.runs
            if run.status in {"queued", "running", "paused"}
        }

    def address(self, path: str) -> str:
        """Return the address of this view at `path`."""
        parts = [*(("run", str(run_id)) for run_id in self.run_ids), *self.kept]
        return f"{path}?{urlencode(parts)}" if parts else path


def compare_context(
    store: Store,
    settings: Settings,
    run_ids: list[int],
    view: CurvesView,
    results: ResultsView,
    kept: Sequence[tuple[str, str]] = (),
) -> ComparePage:
    """Gather the comparison of those runs, but for tables of many that the page asks for later."""
    info = compare_info(store, run_ids)
    curves = curves_part(info, view)
    is_large = len(info.runs) > TABLES_AT_ONCE
    return ComparePage(
        info=info,
        curves=curves,
        first_query=first_query(curves, [run.id for run in info.runs], dict(kept)),
        kept=tuple((key, value) for key, value in kept if key not in ADDING),
        results=None if is_large else results_part(store, settings, info, results),
        specs=None if is_large else specs_part(info, number_in(dict(kept).get("baseline", ""))),
        share=share_part(store, info, kept),
    )


Runs = Annotated[list[Annotated[int, Query(ge=1, le=ID_LIMIT)]], Query(max_length=RUNS_LIMIT)]


@router.get("/compare", name="compare_page")
def compare(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    view: CurvesViewDep,
    results: ResultsViewDep,
    run: Runs = [],  # noqa: B006 - FastAPI copies it
    without: Annotated[int | None, Query(ge=1, le=ID_LIMIT)] = None,
) -> Response:
    """Show a comparison, or the picker where no run is chosen; `without` takes a run away."""
    if without is not None:
        query = [
            (key, value)
            for key, value in request.query_params.multi_items()
            if key != "without" and (key, value) != ("run", str(without))
        ]
        return RedirectResponse(f"{request.url.path}?{urlencode(query)}", 303)
    page = compare_context(store, settings, run, view, results, request.query_params.multi_items())
    return render(request, "pages/compare.html", page)


@router.get("/parts/compare", name="compare_live")
def compare_live(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    view: CurvesViewDep,
    results: ResultsViewDep,
    run: Runs = [],  # noqa: B006 - FastAPI copies it
) -> HTMLResponse:
    """Show the parts that change, for a page that is already open."""
    page = compare_context(store, settings, run, view, results, request.query_params.multi_items())
    if page.results is None:
        page = replace(page, results=results_part(store, settings, page.info, results))
    return render(request, "partials/compare_live.html", page)
