"""The Studies page: what was launched together, how far it is and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse

from app.dependencies import StoreDep
from app.pages.templating import render
from app.steps import sweep_out
from app.study_answers import SearchOut
from store.database import Store
from store.rows import TERMINAL_STATUSES, StudyRow
from store.studies import State, find_studies, study_owners
from store.study_results import Member, best_by_study

PAGE_SIZE = 25

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class StudiesQuery:
    """What the address asks for; the whole state of the page."""

    q: str = ""
    owner: str = ""
    state: State = ""
    cursor: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether it leaves out studies."""
        return bool(self.q or self.owner or self.state)

    def address(self, path: str, **changes: str) -> str:
        """Return `path` with this query and `changes` to it."""
        query = urlencode({key: value for key, value in {**vars(self), **changes}.items() if value})
        return f"{path}?{query}" if query else path


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is."""

    study: StudyRow

    @property
    def total(self) -> int:
        """Runs that there are."""
        return sum(self.study.counts.values())

    @property
    def ended(self) -> int:
        """Runs that have ended, well or not."""
        return sum(self.study.counts.get(status, 0) for status in TERMINAL_STATUSES)

    @property
    def search(self) -> SearchOut | None:
        """How far the study's search is; None where it is none."""
        return None if self.study.sweep is None else sweep_out(self.study.sweep).search

    @property
    def fraction(self) -> float:
        """Share of the runs that have ended; steps and trials to come make it less than one."""
        if self.study.is_over:
            return 1.0 if self.total else 0.0
        waiting = sum(not step.is_over and not step.run_ids for step in self.study.steps)
        total = self.total + waiting
        if self.search is not None and self.search.state == "searching":
            total = max(total, self.search.budget)
        return self.ended / total if total else 0.0

    @property
    def is_due(self) -> bool:
        """Whether it goes on though its runs have ended: no run tells of what comes."""
        return not self.study.is_over and self.ended == self.total

    @property
    def state(self) -> str:
        """One word: Running, Waiting, Stopped or Ended."""
        if self.study.is_over:
            return "Stopped" if self.study.stopped_at is not None else "Ended"
        if self.study.stopped_at is not None:
            return "Stopping"
        is_at_work = any(self.study.counts.get(one) for one in ("running", *TERMINAL_STATUSES))
        return "Running" if is_at_work else "Waiting"

    @property
    def chip(self) -> str:
        """The look of the word."""
        looks = {"Running": "running", "Waiting": "queued", "Stopping": "draining"}
        if self.state in looks:
            return looks[self.state]
        if self.state == "Stopped":
            return "cancelled"
        return "warning" if self.study.counts.get("failed") else "succeeded"

    @property
    def words(self) -> str:
        """How many runs are in which status."""
        order = ("running", "queued", "paused", "succeeded", "failed", "cancelled")
        counts = self.study.counts
        return " · ".join(f"{counts[one]} {one}" for one in order if counts.get(one))


@dataclass(frozen=True)
class StudyLine(StudyProgress):
    """A study in the list."""

    best: Member | None


@dataclass(frozen=True)
class StudiesPage:
    """What `pages/studies.html` shows."""

    query: StudiesQuery
    lines: tuple[StudyLine, ...]
    next_cursor: str | None
    owners: tuple[str, ...]
    section: str = "studies_page"


def _query(
    q: Annotated[str, Query(max_length=200)] = "",
    owner: Annotated[str, Query(max_length=200)] = "",
    state: State = "",
    cursor: Annotated[str, Query(max_length=20)] = "",
) -> StudiesQuery:
    return StudiesQuery(q.strip(), owner, state, cursor)


Asked = Annotated[StudiesQuery, Depends(_query)]


def studies_context(store: Store, query: StudiesQuery) -> StudiesPage:
    """Gather the studies that `query` asks for."""
    page = find_studies(
        store,
        text=query.q,
        owner=query.owner,
        state=query.state,
        cursor=query.cursor,
        limit=PAGE_SIZE,
    )
    best = best_by_study(store, [row.id for row in page.rows])
    return StudiesPage(
        query=query,
        lines=tuple(StudyLine(row, best.get(row.id)) for row in page.rows),
        next_cursor=page.next_cursor,
        owners=tuple(study_owners(store)),
    )


@router.get("/studies", name="studies_page")
def studies(request: Request, store: StoreDep, query: Asked) -> HTMLResponse:
    """Show the studies."""
    return render(request, "pages/studies.html", studies_context(store, query))


@router.get("/parts/studies", name="studies_live")
def studies_live(request: Request, store: StoreDep, query: Asked) -> HTMLResponse:
    """Show the list alone, for a page that is already open."""
    return render(request, "partials/studies_live.html", studies_context(store, query))
