"""The Compare page's parts about cost: wall clock, accuracy against seconds, and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from app.dependencies import StoreDep
from app.figures.bars import wall_clock_figure, wall_clock_info
from app.figures.compare import RUNS_LIMIT, CompareInfo, ResultRow, compare_info
from app.figures.parallel import ParallelInfo, compared_settings, parallel_figure
from app.figures.style import Figure
from app.figures.time import Cost, Reached, best_within, cost_figure, pareto_front
from app.pages.templating import render
from store.database import Store
from store.series import each_series
from store.values import ID_LIMIT

MINUTES_LIMIT = 100_000.0

router = APIRouter(include_in_schema=False)
Runs = Annotated[
    list[Annotated[int, Query(ge=1, le=ID_LIMIT)]], Query(min_length=1, max_length=RUNS_LIMIT)
]


@dataclass(frozen=True)
class TimePart:
    """What `partials/compare_time.html` shows."""

    info: CompareInfo
    clock: Figure
    costs: Figure
    front: tuple[Cost, ...]
    accuracy_name: str
    minutes: float | None
    reached: tuple[Reached, ...]
    """The best within the minutes, best first."""
    silent: tuple[int, ...]
    """Runs that had no accuracy by then."""


@dataclass(frozen=True)
class SweepPart:
    """What `partials/compare_sweep.html` shows."""

    info: CompareInfo
    parallel: ParallelInfo
    figure: Figure


@router.get("/parts/compare/time", name="compare_time")
def time_part(
    request: Request,
    store: StoreDep,
    run: Runs,
    minutes: Annotated[float | None, Query(gt=0, le=MINUTES_LIMIT)] = None,
) -> HTMLResponse:
    """Show what the runs took, for a page that is already open."""
    info = compare_info(store, run)
    costs, name = run_costs(info.table)
    reached = () if minutes is None else within(store, info, minutes * 60)
    had_any = {one.run_id for one in reached}
    page = TimePart(
        info=info,
        clock=wall_clock_figure(
            wall_clock_info(
                [(row.label, info.phases[row.run_id], row.training_s) for row in info.table]
            )
        ),
        costs=cost_figure(costs, name),
        front=pareto_front(costs),
        accuracy_name=name,
        minutes=minutes,
        reached=reached,
        silent=tuple(row.run_id for row in info.table if row.run_id not in had_any),
    )
    return render(request, "partials/compare_time.html", page)


@router.get("/parts/compare/sweep", name="compare_sweep")
def sweep_part(request: Request, store: StoreDep, run: Runs) -> HTMLResponse:
    """Show the runs' settings as parallel coordinates, for a page that is already open."""
    info = compare_info(store, run)
    parallel = compared_settings(info)
    page = SweepPart(info, parallel, parallel_figure(parallel, info.labels))
    return render(request, "partials/compare_sweep.html", page)


def run_costs(table: tuple[ResultRow, ...]) -> tuple[list[Cost], str]:
    """Return accuracy and seconds of the runs that have both, and which accuracy it is.

    The test images' where every run that has an accuracy at all was tested, else the best on the
    validation images. Seconds are standalone ones where they are known: a run that found a cache
    ready did not do its work for free.
    """
    known = [row for row in table if row.best_val_accuracy is not None]
    is_tested = bool(known) and all(row.test_accuracy is not None for row in known)
    costs = []
    for row in known:
        seconds = row.standalone_s if row.standalone_s is not None else row.training_s
        accuracy = row.test_accuracy if is_tested else row.best_val_accuracy
        if seconds is not None and accuracy is not None:
            costs.append(Cost(row.run_id, row.label, seconds, accuracy))
    return costs, "Test accuracy" if is_tested else "Best validation accuracy"


def within(store: Store, info: CompareInfo, limit_s: float) -> tuple[Reached, ...]:
    """Return the best validation accuracy each run had reached by then, best first."""
    shared_s: Mapping[int, float] = {
        row.run_id: row.standalone_s - row.training_s
        for row in info.table
        if row.standalone_s is not None and row.training_s is not None
    }
    found = []
    run_ids = [row.run_id for row in info.table]
    for run_id, _, (elapsed, values) in each_series(
        store, run_ids, ["val_accuracy"], ("elapsed", "values")
    ):
        cache_s = max(0.0, shared_s.get(run_id, 0.0))
        best = best_within(run_id, elapsed, values, limit_s - cache_s)
        if best is not None:
            found.append(Reached(run_id, best.accuracy, best.seconds + cache_s))
    return tuple(sorted(found, key=lambda one: (-one.accuracy, one.seconds)))
