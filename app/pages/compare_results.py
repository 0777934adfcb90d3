"""The Compare page's results table: chosen columns, sorted, as a part, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, Response

from app.dependencies import SettingsDep, StoreDep
from app.exports.cells import markdown_table
from app.figures.compare import RUNS_LIMIT, CompareInfo, compare_info
from app.figures.results import (
    BY_KEY,
    COLUMNS,
    Column,
    ResultLine,
    Value,
    accuracy_intervals,
    best_values,
    result_lines,
    sorted_lines,
    time_to_target,
)
from app.leaks import Clean, clean_accuracies
from app.pages.compare_view import PATH
from app.pages.templating import compact, count, duration, number, percent, render
from store.database import Store
from store.series import series
from store.settings import Settings
from store.values import ID_LIMIT
from trainer.cells import harmless
from trainer.errors import FieldError, InvalidInput

OWN = ("columns", "sort", "target")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ResultsView:
    """What the table shows; every field is a parameter of the page's address."""

    columns: tuple[str, ...]
    """Empty: the default ones."""
    sort: str
    target: float | None
    """Accuracy in percent."""
    kept: tuple[tuple[str, str], ...]
    """Every other parameter of the address."""

    def address(self, **changes: str | None) -> str:
        """Return the page's address with another view of the table."""
        own: list[tuple[str, str]] = [("columns", key) for key in self.columns]
        own += [("sort", self.sort)] if self.sort else []
        own += [("target", f"{self.target:g}")] if self.target is not None else []
        found = [(key, value) for key, value in own if key not in changes]
        found += [(key, value) for key, value in changes.items() if value is not None]
        return f"{PATH}?{urlencode([*self.kept, *found])}#compare-results"

    @property
    def query(self) -> str:
        """The whole query of the address."""
        return self.address().partition("?")[2].partition("#")[0]


async def _results_view(
    request: Request,
    columns: Annotated[list[str], Query(max_length=len(COLUMNS))] = [],  # noqa: B006 - FastAPI copies it
    sort: Annotated[str, Query(max_length=50)] = "",
    target: Annotated[
        float | None, Query(gt=0, le=100, allow_inf_nan=False, description="Percent.")
    ] = None,
) -> ResultsView:
    known = ", ".join(BY_KEY)
    for key in columns:
        if key not in BY_KEY:
            raise InvalidInput.of(FieldError("columns", key, f"one of {known}"))
    if sort and sort.removeprefix("-") not in {"run", *BY_KEY}:
        raise InvalidInput.of(FieldError("sort", sort, f"run or one of {known}, perhaps after a -"))
    kept = tuple(item for item in request.query_params.multi_items() if item[0] not in OWN)
    return ResultsView(tuple(dict.fromkeys(columns)), sort, target, kept)


ResultsViewDep = Annotated[ResultsView, Depends(_results_view)]


@dataclass(frozen=True)
class ResultsPart:
    """What `partials/compare_results.html` shows."""

    view: ResultsView
    columns: tuple[Column, ...]
    lines: tuple[ResultLine, ...]
    best: Mapping[str, float]
    without: Mapping[tuple[int, str], Clean]
    """Accuracies without images that are among the training images too, by run and split."""

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Those that can be chosen."""
        return COLUMNS

    @property
    def markdown(self) -> str:
        """The table as Markdown."""
        return markdown_table(
            ["Run", *(column.title for column in self.columns)],
            [
                [line.row.label, *(cell_text(column, line) for column in self.columns)]
                for line in self.lines
            ],
        )

    def text(self, column: Column, line: ResultLine) -> str:
        """Return a cell without its interval."""
        return value_text(column, line.values[column.key])

    def interval(self, column: Column, line: ResultLine) -> str:
        """Return the interval beneath an accuracy, or nothing."""
        found = line.intervals.get(column.split)
        if found is None or line.values[column.key] is None:
            return ""
        return f"{found[0] * 100:.1f}–{found[1] * 100:.1f}"

    def without_leaks(self, column: Column, line: ResultLine) -> str:
        """Return an accuracy without leaked images, where some of the split leaked."""
        found = self.without.get((line.row.run_id, column.split))
        return (
            ""
            if found is None
            else f"{percent(found.accuracy, 2)} without {count(found.leaked)} leaked"
        )

    def is_best(self, column: Column, line: ResultLine) -> bool:
        """Return whether a cell is the best of its column."""
        value = line.values[column.key]
        return value is not None and value == self.best.get(column.key)

    def sorted_address(self, key: str) -> str:
        """Return the address of the table sorted by a column, or the other way round."""
        column = BY_KEY.get(key)
        first = f"-{key}" if column is not None and column.better == "max" else key
        second = key if first.startswith("-") else f"-{key}"
        return self.view.address(sort=second if self.view.sort == first else first)

    def aria_sort(self, key: str) -> str:
        """Return how a column is sorted, as ARIA says it; empty where it is not."""
        return {key: "ascending", f"-{key}": "descending"}.get(self.view.sort, "")


def results_part(
    store: Store, settings: Settings, info: CompareInfo, view: ResultsView
) -> ResultsPart:
    """Return the table of those runs."""
    reached: dict[int, float | None] = {}
    if view.target is not None:
        points = series(store, [run.id for run in info.runs], ("val_accuracy",))
        reached = {
            run_id: time_to_target(found, view.target / 100)
            for (run_id, _), found in points.items()
        }
    lines = result_lines(info.table, accuracy_intervals(info.table, info.evaluations), reached)
    keys = set(view.columns) or _default_keys(info, view)
    return ResultsPart(
        view,
        tuple(column for column in COLUMNS if column.key in keys),
        tuple(sorted_lines(lines, view.sort)),
        best_values(lines),
        clean_accuracies(
            store, settings, {run.id: run.spec for run in info.runs}, info.evaluations
        ),
    )


@router.get("/parts/compare/results", name="compare_results")
def results(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    view: ResultsViewDep,
    run: Annotated[
        list[Annotated[int, Query(ge=1, le=ID_LIMIT)]], Query(min_length=1, max_length=RUNS_LIMIT)
    ],
) -> HTMLResponse:
    """Show the table alone, for a page that is already open."""
    part = results_part(store, settings, compare_info(store, run), view)
    return render(request, "partials/compare_results.html", {"results": part})


@router.get("/compare/results.csv", name="compare_results_csv")
def results_csv(
    store: StoreDep,
    settings: SettingsDep,
    view: ResultsViewDep,
    run: Annotated[
        list[Annotated[int, Query(ge=1, le=ID_LIMIT)]], Query(min_length=1, max_length=RUNS_LIMIT)
    ],
) -> Response:
    """Return the table as it is shown, with whole numbers and the intervals' ends."""
    part = results_part(store, settings, compare_info(store, run), view)
    return Response(
        _csv(part),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="results.csv"'},
    )


def value_text(column: Column, value: Value) -> str:
    """Return a value as the table shows it."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if column.kind == "share":
        return percent(value, 2)
    if column.kind == "seconds":
        return duration(value)
    if column.kind == "large":
        return compact(int(value))
    return count(int(value)) if column.kind == "whole" else number(value)


def cell_text(column: Column, line: ResultLine) -> str:
    """Return a cell with its interval on one line."""
    text = value_text(column, line.values[column.key])
    found = line.intervals.get(column.split)
    if found is None or line.values[column.key] is None:
        return text
    return f"{text} ({found[0] * 100:.1f} to {found[1] * 100:.1f})"


def _default_keys(info: CompareInfo, view: ResultsView) -> set[str]:
    keys = {column.key for column in COLUMNS if column.is_default}
    if not any(row.test_accuracy is not None for row in info.table):
        keys.discard("test_accuracy")
    if view.target is not None:
        keys.add("target_s")
    if any(row.reported_words for row in info.table):
        keys.add("reported")
    return keys


def _csv(part: ResultsPart) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    header = ["run", "name"]
    for column in part.columns:
        header.append(column.key)
        header += [f"{column.key}_low", f"{column.key}_high"] if column.split else []
    table.writerow(header)
    for line in part.lines:
        cells: list[Value] = [line.row.run_id, line.row.label]
        for column in part.columns:
            cells.append(line.values[column.key])
            cells += _ends(line, column) if column.split else []
        table.writerow(["" if cell is None else harmless(cell) for cell in cells])
    return text.getvalue()


def _ends(line: ResultLine, column: Column) -> Sequence[Value]:
    found = line.intervals.get(column.split)
    return [None, None] if found is None else list(found)
