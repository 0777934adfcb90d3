"""A study's page: what it is for, and its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse

from app.dependencies import StoreDep
from app.figures.compare import RUNS_LIMIT
from app.pages.runs import RunsPage, RunsQuery, runs_context
from app.pages.templating import render
from store.rows import StudyRow
from store.studies import get_study
from store.values import ID_LIMIT

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class StudyPage(RunsPage):
    """What `pages/study.html` shows: a list of runs, and what they are for."""

    study: StudyRow

    @property
    def compare_query(self) -> str:
        """The query that compares its runs."""
        return urlencode([("run", run_id) for run_id in self.study.run_ids[:RUNS_LIMIT]])


@router.get("/studies/{study_id}", name="study_page")
def study(
    request: Request, store: StoreDep, study_id: Annotated[int, Path(ge=1, le=ID_LIMIT)]
) -> HTMLResponse:
    """Show a study."""
    found = get_study(store, study_id)
    listing = runs_context(store, RunsQuery(study=found.id))
    return render(request, "pages/study.html", StudyPage(**vars(listing), study=found))
