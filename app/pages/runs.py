"""The Runs page: a leaderboard to filter, to sort, to select from, and to watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.answers import RunOut
from app.dependencies import StoreDep
from app.leaderboard import DEFAULT_COLUMNS, Cell, cells, chosen_columns, table
from app.outputs import run_outs
from app.pages.templating import render
from store.database import Store
from store.datasets import list_datasets
from store.labels import baselines
from store.query_language import LENGTH_LIMIT, FilterError
from store.rows import ViewRow
from store.run_fields import RunField, RunFields, run_fields
from store.run_list import (
    Archived,
    Page,
    Wanted,
    counts_by_status,
    list_runs,
    newest_id,
    order_of,
    wanted_runs,
)
from store.runs import runs_by_ids
from store.values import ID_LIMIT
from store.views import list_views
from trainer.errors import InvalidInput

PAGE_SIZE = 50
NEWEST_FIRST = "-id"
BASELINES_SHOWN = 10

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class RunsQuery:
    """What the address asks for; the whole state of the page."""

    status: str = ""
    dataset: str = ""
    q: str = ""
    study: int = 0
    """0: whatever study, or none."""
    filter: str = ""
    sort: str = NEWEST_FIRST
    columns: tuple[str, ...] = ()
    """None: the usual ones."""
    archived: Archived | Literal[""] = ""
    cursor: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether it leaves out runs."""
        return bool(
            self.status or self.dataset or self.q or self.study or self.filter or self.archived
        )

    def pairs(self, **changes: object) -> list[tuple[str, str]]:
        """Return the address's parameters, with changes; what is usual is left out."""
        parts = {**vars(self), **changes}
        found = []
        for key, value in parts.items():
            values = value if isinstance(value, tuple) else (value,)
            if key == "columns" and values:
                values = (",".join(map(str, values)),)
            if not (key == "sort" and value == NEWEST_FIRST):
                found += [(key, str(one)) for one in values if one]
        return found

    def address(self, path: str, **changes: object) -> str:
        """Return `path` with this query and `changes` to it."""
        query = urlencode(self.pairs(**changes))
        return f"{path}?{query}" if query else path

    def wanted(self, fields: RunFields) -> Wanted:
        """Return the runs that it asks for.

        Raises:
            FilterError: If the filter cannot be read.
        """
        return wanted_runs(
            fields,
            status=self.status or None,
            study_id=self.study or None,
            dataset=self.dataset or None,
            text=self.q or None,
            filter=self.filter or None,
            archived=self.archived or None,
        )


@dataclass(frozen=True)
class Column:
    """A column's heading: its field, and the address that sorts by it."""

    field: RunField
    sorted: Literal["ascending", "descending", "none"]
    sort: str
    """What `sort` is when the heading is followed; empty where runs cannot be sorted by it."""


@dataclass(frozen=True)
class Line:
    """A run and its cells, in the order of the columns."""

    run: RunOut
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Notice:
    """What a form just did, as the address tells it."""

    done: str = ""
    count: int = 0
    freed_bytes: int = 0


@dataclass(frozen=True)
class RunsPage:
    """What `pages/runs.html` shows."""

    query: RunsQuery
    lines: tuple[Line, ...]
    pinned: tuple[Line, ...]
    """The baselines of the datasets shown."""
    columns: tuple[Column, ...]
    next_cursor: str | None
    counts: dict[str, int]
    total: int
    """Runs that match."""
    newest: int
    """The greatest number of a run when the page was made."""
    datasets: tuple[str, ...]
    fields: tuple[RunField, ...]
    views: tuple[ViewRow, ...]
    notice: Notice = field(default_factory=Notice)
    filter_error: FilterError | None = None
    error: InvalidInput | None = None
    """Another mistake in the address."""
    section: str = "runs_page"

    @property
    def chosen(self) -> frozenset[str]:
        """The names of the columns shown."""
        return frozenset(column.field.name for column in self.columns)

    @property
    def offered(self) -> tuple[RunField, ...]:
        """Columns worth a tick box of their own: those shown, and the usual of every run."""
        known = {one.name: one for one in self.fields}
        names = dict.fromkeys([*self.chosen_names, *DEFAULT_COLUMNS, *_OFFERED])
        return tuple(known[name] for name in names if name in known)

    @property
    def chosen_names(self) -> tuple[str, ...]:
        """The names of the columns shown, in order."""
        return tuple(column.field.name for column in self.columns)


_OFFERED = (
    "tag",
    "owner",
    "last_val_accuracy",
    "best_val_loss",
    "curve_val_loss",
    "test.accuracy",
    "optimizer.name",
    "optimizer.lr",
    "training.batch_size",
    "training.seed",
    "freeze.layers",
    "trained_parameters",
    "study",
)


def _query(
    status: Annotated[str, Query(max_length=20)] = "",
    dataset: Annotated[str, Query(max_length=100)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    study: Annotated[int, Query(ge=0, le=ID_LIMIT)] = 0,
    filter: Annotated[str, Query(max_length=2 * LENGTH_LIMIT)] = "",  # noqa: A002 - its name
    sort: Annotated[str, Query(max_length=100)] = NEWEST_FIRST,
    columns: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006 - FastAPI copies it
    archived: Archived | Literal[""] = "",
    cursor: Annotated[str, Query(max_length=2000)] = "",
) -> RunsQuery:
    names = [name.strip() for given in columns for name in given.split(",") if name.strip()]
    return RunsQuery(
        status,
        dataset,
        q.strip(),
        study,
        filter.strip(),
        sort.strip() or NEWEST_FIRST,
        tuple(dict.fromkeys(names)),
        archived,
        cursor,
    )


def _notice(
    done: Annotated[str, Query(max_length=20)] = "",
    n: Annotated[int, Query(ge=0, le=ID_LIMIT)] = 0,
    freed: Annotated[int, Query(ge=0)] = 0,
) -> Notice:
    return Notice(done, n, freed)


Asked = Annotated[RunsQuery, Depends(_query)]


def runs_context(store: Store, query: RunsQuery, notice: Notice | None = None) -> RunsPage:
    """Gather the runs that `query` asks for.

    A filter, a sort or columns that cannot be are told of on the page, which then shows no run.

    Raises:
        InvalidInput: If the status or the cursor is wrong.
    """
    fields = run_fields(store)
    filter_error = error = None
    columns = chosen_columns((), fields)
    page = Page([], None, 0)
    newest = newest_id(store)  # before the rows: one that arrives meanwhile is asked for again
    try:
        columns = chosen_columns(query.columns, fields)
        wanted, order = query.wanted(fields), order_of(query.sort, fields)
    except FilterError as problem:
        filter_error = problem
    except InvalidInput as problem:
        if any(one.field == "status" for one in problem.errors):
            raise
        error = problem
    else:
        page = list_runs(
            store, wanted, order, limit=PAGE_SIZE, cursor=query.cursor or None, count=True
        )
    runs = run_outs(store, page.rows)
    on_top = _baselines(store, query, runs)
    taken = {run.id for run in on_top}
    lines = _lines(store, [*on_top, *(run for run in runs if run.id not in taken)], columns)
    return RunsPage(
        query=query,
        lines=lines[len(on_top) :],
        pinned=lines[: len(on_top)],
        columns=tuple(_heading(one, query.sort) for one in columns),
        next_cursor=page.next_cursor,
        counts=counts_by_status(store, archived="no"),
        total=page.total or 0,
        newest=newest,
        datasets=tuple(row.name for row in list_datasets(store, labelled=True)),
        fields=tuple(fields.by_name.values()),
        views=tuple(list_views(store)),
        notice=notice or Notice(),
        filter_error=filter_error,
        error=error,
    )


@router.get("/", name="home_page")
def home(request: Request) -> RedirectResponse:
    """Lead to the runs."""
    return RedirectResponse(request.app.url_path_for("runs_page"), 303)


@router.get("/runs", name="runs_page")
def runs(
    request: Request, store: StoreDep, query: Asked, notice: Annotated[Notice, Depends(_notice)]
) -> HTMLResponse:
    """Show the runs."""
    page = runs_context(store, query, notice)
    wrong = page.filter_error or page.error
    return render(request, "pages/runs.html", page, 422 if wrong else 200)


@router.get("/parts/runs", name="runs_table")
def runs_table(request: Request, store: StoreDep, query: Asked) -> HTMLResponse:
    """Show the table alone, for a page that is already open."""
    page = runs_context(store, query)
    wrong = page.filter_error or page.error
    return render(request, "partials/runs_table.html", page, 422 if wrong else 200)


def _lines(store: Store, runs: Sequence[RunOut], columns: Sequence[RunField]) -> tuple[Line, ...]:
    rows = cells(table(store, runs, columns), columns)
    return tuple(Line(run, row) for run, row in zip(runs, rows, strict=True))


def _baselines(store: Store, query: RunsQuery, runs: Sequence[RunOut]) -> list[RunOut]:
    """Return the baselines to show on top: of the datasets that the page's runs are of."""
    if query.cursor or not runs:
        return []
    pinned = baselines(store)
    ids = [pinned[name] for name in dict.fromkeys(run.dataset for run in runs) if name in pinned]
    return run_outs(store, runs_by_ids(store, ids[:BASELINES_SHOWN]))


def _heading(column: RunField, sort: str) -> Column:
    """Return a column's heading; following it sorts from the better end first, then the other."""
    if not column.sorts:
        return Column(column, "none", "")
    name = sort.removeprefix("-")
    if name != column.name:
        falls = column.kind in {"number", "time", "flag"} and "loss" not in column.name
        return Column(column, "none", f"-{column.name}" if falls else column.name)
    if sort.startswith("-"):
        return Column(column, "descending", name)
    return Column(column, "ascending", f"-{name}")
