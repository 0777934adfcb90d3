"""The Runs page: a table to filter, to select from, and to watch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.answers import RunOut
from app.dependencies import StoreDep
from app.outputs import run_outs
from app.pages.templating import render
from store.database import Store
from store.datasets import list_datasets
from store.runs import counts_by_status, list_runs
from store.values import ID_LIMIT

PAGE_SIZE = 50

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class RunsQuery:
    """What the address asks for; the whole state of the page."""

    status: str = ""
    dataset: str = ""
    q: str = ""
    study: int = 0
    """0: whatever study, or none."""
    cursor: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether it leaves out runs."""
        return bool(self.status or self.dataset or self.q or self.study)

    def address(self, path: str, **changes: str) -> str:
        """Return `path` with this query and `changes` to it."""
        parts = {**vars(self), **changes}
        query = urlencode({key: value for key, value in parts.items() if value})
        return f"{path}?{query}" if query else path


@dataclass(frozen=True)
class RunsPage:
    """What `pages/runs.html` shows."""

    query: RunsQuery
    runs: tuple[RunOut, ...]
    next_cursor: str | None
    counts: dict[str, int]
    datasets: tuple[str, ...]
    section: str = "runs_page"


def _query(
    status: Annotated[str, Query(max_length=20)] = "",
    dataset: Annotated[str, Query(max_length=100)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    study: Annotated[int, Query(ge=0, le=ID_LIMIT)] = 0,
    cursor: Annotated[str, Query(max_length=40)] = "",
) -> RunsQuery:
    return RunsQuery(status, dataset, q.strip(), study, cursor)


Asked = Annotated[RunsQuery, Depends(_query)]


def runs_context(store: Store, query: RunsQuery) -> RunsPage:
    """Gather the runs that `query` asks for."""
    page = list_runs(
        store,
        status=query.status or None,
        dataset=query.dataset or None,
        text=query.q or None,
        study_id=query.study or None,
        cursor=query.cursor or None,
        limit=PAGE_SIZE,
    )
    return RunsPage(
        query=query,
        runs=tuple(run_outs(store, page.rows)),
        next_cursor=page.next_cursor,
        counts=counts_by_status(store),
        datasets=tuple(row.name for row in list_datasets(store, labelled=True)),
    )


@router.get("/", name="home_page")
def home(request: Request) -> RedirectResponse:
    """Lead to the runs."""
    return RedirectResponse(request.app.url_path_for("runs_page"), 303)


@router.get("/runs", name="runs_page")
def runs(request: Request, store: StoreDep, query: Asked) -> HTMLResponse:
    """Show the runs."""
    return render(request, "pages/runs.html", runs_context(store, query))


@router.get("/parts/runs", name="runs_table")
def runs_table(request: Request, store: StoreDep, query: Asked) -> HTMLResponse:
    """Show the table alone, for a page that is already open."""
    return render(request, "partials/runs_table.html", runs_context(store, query))
