"""What is done with a comparison: runs added to it, a view saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.comparisons import checked_query, run_count
from app.dependencies import Owner, StoreDep
from app.figures.compare import RUNS_LIMIT, CompareInfo
from app.pages.templating import render
from app.security import CheckedForm
from app.texts import checked_name, checked_note
from store.comparisons import (
    change_comparison,
    delete_comparison,
    get_comparison,
    list_comparisons,
    save_comparison,
)
from store.database import Store
from store.rows import ComparisonRow, RunRow, StudyRow
from store.runs import list_runs, runs_by_ids
from store.studies import get_study, list_studies
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput, NotFound

LISTED_RUNS = 100
LISTED_STUDIES = 20
PATH = "/compare"
ADDING = frozenset({"run", "study", "find"})
"""Parameters of the picker's form; all others are the view and are kept."""

router = APIRouter(include_in_schema=False)

Id = Annotated[int, Query(ge=1, le=ID_LIMIT)]
Text = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True)
class Picker:
    """Runs and studies that could be added, newest first."""

    find: str
    runs: tuple[RunRow, ...]
    studies: tuple[StudyRow, ...]
    study_names: Mapping[int, str]
    has_more: bool
    """Whether more runs match than are listed."""


@dataclass(frozen=True)
class SavedLine:
    """A saved comparison and how many runs it names."""

    row: ComparisonRow
    runs: int


@dataclass(frozen=True)
class SharePart:
    """What the parts about sharing show on the Compare page."""

    picker: Picker
    query: str
    """Of this view's address, as it would be saved."""
    saved: ComparisonRow | None
    """The saved comparison that this view was opened from."""
    all_saved: tuple[SavedLine, ...]
    """All saved comparisons; empty where runs are chosen."""


def share_part(store: Store, info: CompareInfo, query: Sequence[tuple[str, str]]) -> SharePart:
    """Return what the page says about sharing.

    Args:
        query: The address's parameters, in order.
    """
    ids = [run.id for run in info.runs]
    given = dict(query)
    kept = [(key, value) for key, value in query if key not in {*ADDING, "saved"}]
    return SharePart(
        picker=picker(store, ids, given.get("find", "")),
        query=urlencode([*(("run", run_id) for run_id in ids), *kept]),
        saved=_saved(store, number_in(given.get("saved", ""))),
        all_saved=()
        if ids
        else tuple(SavedLine(row, run_count(row.query)) for row in list_comparisons(store)),
    )


def picker(store: Store, chosen: Sequence[int], find: str) -> Picker:
    """Return the runs and studies that match; a study matches by its name, with its runs."""
    find = " ".join(find.split())
    known = list_studies(store)
    studies = [
        study for study in known if study.run_ids and find.casefold() in study.name.casefold()
    ]
    found = list_runs(store, text=find or None, limit=LISTED_RUNS)
    rows = {row.id: row for row in found.rows}
    if find:
        members = [run_id for study in studies for run_id in study.run_ids][:LISTED_RUNS]
        rows |= {row.id: row for row in runs_by_ids(store, members)}
    taken = set(chosen)
    return Picker(
        find=find,
        runs=tuple(row for row in sorted(rows.values(), key=_newest) if row.id not in taken),
        studies=tuple(study for study in studies if not taken.issuperset(study.run_ids))[
            :LISTED_STUDIES
        ],
        study_names={study.id: study.name for study in known},
        has_more=found.next_cursor is not None,
    )


@router.get("/parts/compare/picker", name="compare_picker")
def picker_part(
    request: Request,
    store: StoreDep,
    run: Annotated[list[Id], Query(max_length=RUNS_LIMIT)] = [],  # noqa: B006 - FastAPI copies it
    find: Text = "",
) -> HTMLResponse:
    """Show the runs that match, for a page that is already open."""
    return render(request, "partials/compare_picker_list.html", picker(store, run, find))


@router.get("/compare/add", name="compare_add")
def add(
    request: Request,
    store: StoreDep,
    run: Annotated[list[Id], Query(max_length=1000)] = [],  # noqa: B006 - FastAPI copies it
    study: Annotated[list[Id], Query(max_length=100)] = [],  # noqa: B006 - FastAPI copies it
) -> RedirectResponse:
    """Lead to the comparison with these runs and all those of the studies."""
    members = [run_id for study_id in study for run_id in get_study(store, study_id).run_ids]
    wanted = list(dict.fromkeys([*run, *members]))
    if len(wanted) > RUNS_LIMIT:
        raise InvalidInput.of(
            FieldError(
                "run",
                f"{len(wanted)} runs",
                f"at most {RUNS_LIMIT} runs",
                "Compare fewer runs at once.",
            )
        )
    kept = [pair for pair in request.query_params.multi_items() if pair[0] not in ADDING]
    query = urlencode([*(("run", run_id) for run_id in wanted), *kept])
    return RedirectResponse(f"{PATH}?{query}" if query else PATH, 303)


@router.post("/comparisons", name="comparison_save")
def save(store: StoreDep, owner: Owner, form: CheckedForm) -> RedirectResponse:
    """Save a view and show it again."""
    query = checked_query(str(form.get("query", "")))
    row = save_comparison(
        store,
        checked_name(str(form.get("name", ""))),
        query,
        owner,
        checked_note(str(form.get("note", ""))),
    )
    return RedirectResponse(f"{PATH}?{query}&saved={row.id}#saved", 303)


ComparisonId = Annotated[int, Path(ge=1, le=ID_LIMIT)]


@router.get("/comparisons/{comparison_id}", name="comparison_open")
def open_saved(store: StoreDep, comparison_id: ComparisonId) -> RedirectResponse:
    """Lead to a saved view."""
    row = get_comparison(store, comparison_id)
    return RedirectResponse(f"{PATH}?{row.query}&saved={row.id}", 303)


@router.post("/comparisons/{comparison_id}", name="comparison_change")
def change(store: StoreDep, comparison_id: ComparisonId, form: CheckedForm) -> RedirectResponse:
    """Change a saved comparison's name and note, and its view where one is sent."""
    query = form.get("query")
    row = change_comparison(
        store,
        comparison_id,
        name=checked_name(str(form.get("name", ""))),
        note=checked_note(str(form.get("note", ""))),
        query=None if query is None else checked_query(str(query)),
    )
    target = f"{PATH}#saved" if query is None else f"{PATH}?{row.query}&saved={row.id}#saved"
    return RedirectResponse(target, 303)


@router.post("/comparisons/{comparison_id}/delete", name="comparison_delete")
def delete(
    store: StoreDep,
    comparison_id: ComparisonId,
    form: CheckedForm,  # noqa: ARG001 - checks the token
) -> RedirectResponse:
    """Forget a saved comparison."""
    delete_comparison(store, comparison_id)
    return RedirectResponse(f"{PATH}#saved", 303)


def _saved(store: Store, comparison_id: int | None) -> ComparisonRow | None:
    try:
        return get_comparison(store, comparison_id) if comparison_id else None
    except NotFound:
        return None  # it was deleted; the address still shows what it showed


def number_in(text: str) -> int | None:
    """Return the number that a parameter of the address holds, or None."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 11 else None


def _newest(row: RunRow) -> int:
    return -row.id
