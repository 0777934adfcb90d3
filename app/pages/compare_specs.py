"""What differs in the specs of a comparison, held against one run's, and every spec whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.answers import RunOut
from app.dependencies import StoreDep
from app.figures.compare import CompareInfo, compare_info
from app.figures.specs import SpecGroup, spec_groups
from app.pages.compare_view import PartsViewDep
from app.pages.templating import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class SpecsPart:
    """What `partials/compare_specs.html` shows."""

    runs: tuple[RunOut, ...]
    labels: Mapping[int, str]
    groups: tuple[SpecGroup, ...]
    reference: int
    """Place of the run whose spec the others are held against."""


def specs_part(info: CompareInfo, baseline: int | None) -> SpecsPart:
    """Return the specs of those runs, held against the baseline's or else the first's."""
    ids = [run.id for run in info.runs]
    reference = ids.index(baseline) if baseline in ids else 0
    return SpecsPart(info.runs, info.labels, spec_groups(info.differences, reference), reference)


@router.get("/parts/compare/specs", name="compare_specs")
def specs(request: Request, store: StoreDep, view: PartsViewDep) -> HTMLResponse:
    """Show the specs alone, for a page that is already open."""
    part = specs_part(compare_info(store, view.run_ids), view.baseline)
    return render(request, "partials/compare_specs.html", {"specs": part})
