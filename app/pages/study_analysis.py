"""What a study's ended runs say: best so far, parallel coordinates, what each field explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.dependencies import StoreDep
from app.figures.best_so_far import BestSoFarInfo, best_so_far_figure, best_so_far_info
from app.figures.compare import RUNS_LIMIT
from app.figures.parallel import ParallelInfo, parallel_figure, parallel_info
from app.figures.style import Figure
from app.pages.study_steps import StudyId
from app.pages.templating import render
from app.study_fields import swept_fields
from store.database import Store
from store.rows import StudyRow
from store.runs import runs_by_ids
from store.spec_fields import spec_fields
from store.studies import get_study
from store.study_results import Member, members
from store.sweeps import swept_paths
from trainer.spec import flat_fields

if TYPE_CHECKING:
    from app.statistics.importance import Importance

MIN_RUNS = 3
"""Two runs that differ explain everything and say nothing."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class AnalysisPart:
    """What `partials/study_analysis.html` shows."""

    study: StudyRow
    best: BestSoFarInfo
    best_figure: Figure
    parallel: ParallelInfo
    parallel_figure: Figure
    names: dict[int, str]
    importances: tuple[Importance, ...]
    runs: int
    """That the shares are of."""
    few_runs: int
    """Below so many the shares are rough."""
    is_cut: bool
    """Whether only the newest runs were looked at."""


def analysis(store: Store, row: StudyRow) -> AnalysisPart:
    """Gather what the ended runs of a study say."""
    from app.statistics.importance import FEW_RUNS, importances

    known = members(store, row.id)
    ended = [one for one in known if one.is_over and one.accuracy is not None]
    shown = ended[-RUNS_LIMIT:]
    ids = [one.run_id for one in shown]
    results = [one.accuracy or 0.0 for one in shown]
    fields = swept_fields(swept_paths(store, row.id), spec_fields(store, ids), ids)
    best = best_so_far_info(known)
    names = {one.run_id: one.name for one in shown}
    parallel = _parallel(store, shown)
    return AnalysisPart(
        study=row,
        best=best,
        best_figure=best_so_far_figure(best),
        parallel=parallel,
        parallel_figure=parallel_figure(parallel, names),
        names=names,
        importances=importances(fields, results) if len(shown) >= MIN_RUNS else (),
        runs=len(shown),
        few_runs=FEW_RUNS,
        is_cut=len(shown) < len(ended),
    )


def _parallel(store: Store, shown: list[Member]) -> ParallelInfo:
    specs = {
        run.id: flat_fields(run.spec) for run in runs_by_ids(store, [one.run_id for one in shown])
    }
    results = {one.run_id: one.accuracy for one in shown}
    return parallel_info("Best validation accuracy", specs, results)


@router.get("/parts/studies/{study_id}/analysis", name="study_analysis")
def study_analysis(request: Request, store: StoreDep, study_id: StudyId) -> HTMLResponse:
    """Show what the ended runs say, for a page that is already open."""
    page = analysis(store, get_study(store, study_id))
    return render(request, "partials/study_analysis.html", page)
