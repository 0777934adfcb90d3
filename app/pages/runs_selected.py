"""What is done with chosen runs: compared, or, after a look at what it means, changed or deleted.

The page before the deed names every run; what is sent from it are those numbers, so that what
was read is what is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from app.bulk import ACTIONS, BULK_LIMIT, Action, Done, act, typed_tags
from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.figures.compare import RUNS_LIMIT
from app.pages.runs import RunsQuery
from app.pages.templating import render
from app.security import CheckedForm
from app.texts import checked_name
from app.views import checked_query, shown_query
from store.database import Store
from store.labels import baselines, pin
from store.rows import RunRow
from store.run_fields import run_fields
from store.run_list import matching_ids
from store.runs import get_run, runs_by_ids
from store.values import ID_LIMIT, is_id
from store.views import change_view, delete_view, save_view
from trainer.errors import FieldError, InvalidInput

LISTED = 100  # runs named one by one
PATH = "/runs"
Choice = Literal["compare", "against", "cancel", "tag", "untag", "archive", "unarchive", "delete"]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class SelectedPage:
    """What `pages/runs_selected.html` shows before anything is done."""

    action: Action | None
    """None: it is still to be chosen."""
    runs: tuple[RunRow, ...]
    """The first of them."""
    ids: tuple[int, ...]
    plan: Done | None
    back: str
    """Query of the Runs page to return to."""
    tags: tuple[str, ...]
    """Tags that exist."""
    typed: str = ""
    """Tags as typed before a mistake."""
    error: InvalidInput | None = None
    done: Done | None = None
    """What was done, where something was refused."""
    section: str = "runs_page"

    @property
    def runs_listed(self) -> str:
        """The numbers, as the form sends them."""
        return ",".join(map(str, self.ids))


@router.get("/runs/selected", name="runs_selected")
def selected(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    run: Annotated[list[Annotated[int, Query(ge=1, le=ID_LIMIT)]], Query(max_length=1000)] = [],  # noqa: B006 - FastAPI copies it
    action: Choice | Literal[""] = "",
    matching: Literal["", "yes"] = "",
    back: Annotated[str, Query(max_length=8000)] = "",
) -> Response:
    """Show what an action would do to the chosen runs; comparing is done at once."""
    if action in {"compare", "against"}:
        return _comparison(store, run, against=action == "against")
    back = shown_query(back)
    ids = _matching(store, back) if matching else list(dict.fromkeys(run))
    page = _page(store, settings, bell, cast("Action | None", action or None), ids, back)
    return render(request, "pages/runs_selected.html", page)


@router.post("/runs/selected", name="runs_act")
def do(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    form: CheckedForm,
) -> Response:
    """Do it, and return to the list; what was refused is told of first."""
    action, ids = _asked(form)
    back, typed = shown_query(str(form.get("back", ""))), str(form.get("tags", ""))
    try:
        done = act(store, settings, bell, action, ids, typed_tags(typed))
    except InvalidInput as error:
        page = _page(store, settings, bell, action, ids, back, typed=typed, error=error)
        return render(request, "pages/runs_selected.html", page, 422)
    if done.refused:
        page = _page(store, settings, bell, action, ids, back, done=done)
        return render(request, "pages/runs_selected.html", page)
    freed = done.deletion.freed_bytes if done.deletion is not None else 0
    return _to_list(back, done=action, n=len(done.run_ids), freed=freed)


@router.post("/runs/pin", name="run_pin")
def pin_run(store: StoreDep, form: CheckedForm) -> RedirectResponse:
    """Make a run its dataset's baseline, or no longer, and show the list again."""
    name = "pin" if form.get("pin") else "unpin"
    run = get_run(store, _number(str(form.get(name, ""))))
    pin(store, run.id, pinned=name == "pin")
    return _to_list(shown_query(str(form.get("back", ""))), done=name, n=run.id)


@router.post("/runs/views", name="view_save")
def view_save(store: StoreDep, owner: Owner, form: CheckedForm) -> RedirectResponse:
    """Save a view and show it."""
    query = checked_query(store, str(form.get("query", "")))
    save_view(store, checked_name(str(form.get("name", ""))), query, owner)
    return _to_list(query)


@router.post("/runs/views/{view_id}", name="view_change")
def view_change(store: StoreDep, view_id: int, form: CheckedForm) -> RedirectResponse:
    """Give a view another name."""
    change_view(store, view_id, name=checked_name(str(form.get("name", ""))))
    return _to_list(shown_query(str(form.get("back", ""))))


@router.post("/runs/views/{view_id}/delete", name="view_delete")
def view_delete(store: StoreDep, view_id: int, form: CheckedForm) -> RedirectResponse:
    """Forget a view."""
    delete_view(store, view_id)
    return _to_list(shown_query(str(form.get("back", ""))))


def _page(
    store: Store,
    settings: SettingsDep,
    bell: BellDep,
    action: Action | None,
    ids: list[int],
    back: str,
    *,
    typed: str = "",
    error: InvalidInput | None = None,
    done: Done | None = None,
) -> SelectedPage:
    if len(ids) > BULK_LIMIT:
        raise InvalidInput.of(FieldError("run", f"{len(ids):,} runs", f"at most {BULK_LIMIT:,}"))
    plan = None
    if action is not None and done is None:
        words = ("any",) if action in {"tag", "untag"} else ()
        plan = act(store, settings, bell, action, ids, words, dry_run=True)
    return SelectedPage(
        action=action,
        runs=tuple(runs_by_ids(store, ids[:LISTED])),
        ids=tuple(ids),
        plan=plan,
        back=back,
        tags=run_fields(store).by_name["tag"].choices,
        typed=typed,
        error=error,
        done=done,
    )


def _comparison(store: Store, run_ids: list[int], *, against: bool) -> RedirectResponse:
    """Lead to the comparison; against the baselines of the runs' datasets, if asked for."""
    ids = list(dict.fromkeys(run_ids))
    pinned = baselines(store)
    own = dict.fromkeys(
        pinned[run.dataset_name] for run in runs_by_ids(store, ids) if run.dataset_name in pinned
    )
    if against:
        ids = [*own, *(run_id for run_id in ids if run_id not in own)]
    if len(ids) > RUNS_LIMIT:
        raise InvalidInput.of(FieldError("run", f"{len(ids)} runs", f"at most {RUNS_LIMIT} runs"))
    query = [("run", str(run_id)) for run_id in ids]
    chosen = [run_id for run_id in own if run_id in ids]
    if len(chosen) == 1 and len(ids) > 1:
        query.append(("baseline", str(chosen[0])))
    return RedirectResponse(f"/compare?{urlencode(query)}" if query else "/compare", 303)


def _matching(store: Store, back: str) -> list[int]:
    """Return the runs that the list's address shows, on all of its pages."""
    given = dict(parse_qsl(back))
    study = given.get("study", "")
    query = RunsQuery(
        status=given.get("status", ""),
        dataset=given.get("dataset", ""),
        q=given.get("q", ""),
        study=int(study) if study.isascii() and study.isdecimal() and len(study) < 10 else 0,
        filter=given.get("filter", ""),
        archived=_archived(given.get("archived", "")),
    )
    return matching_ids(store, query.wanted(run_fields(store)), BULK_LIMIT + 1)


def _archived(text: str) -> Literal["no", "yes", "all", ""]:
    known: dict[str, Literal["no", "yes", "all", ""]] = {"no": "no", "yes": "yes", "all": "all"}
    return known.get(text, "")


def _asked(form: FormData) -> tuple[Action, list[int]]:
    """Return the action and the runs that a form names.

    Raises:
        InvalidInput: If there is no such action, or a number is none.
    """
    action = str(form.get("action", ""))
    if action not in ACTIONS:
        raise InvalidInput.of(FieldError("action", action, "one of " + ", ".join(ACTIONS)))
    return action, [_number(text) for text in str(form.get("ids", "")).split(",") if text]


def _number(text: str) -> int:
    if text.isascii() and text.isdecimal() and is_id(int(text[:11])):
        return int(text)
    raise InvalidInput.of(FieldError("run", text[:80], "the number of a run"))


def _to_list(query: str, **said: str | int) -> RedirectResponse:
    told = urlencode({key: value for key, value in said.items() if value})
    whole = "&".join(part for part in (query, told) if part)
    return RedirectResponse(f"{PATH}?{whole}" if whole else PATH, 303)
