"""The Launch page: the spec's form and its YAML, and what is sent from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.dataset_cut import CUT_FIELDS
from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.forms import default_values, spec_data
from app.launch_bases import Base, find_base, guide_base, recipe_base, run_base
from app.launch_checks import check_launch
from app.pages.launch_context import (
    PRIORITIES,
    Typed,
    Untried,
    dataset_choices,
    launch_context,
    whole_number,
)
from app.pages.launch_start import router as start_router
from app.pages.launch_sync import synced
from app.pages.templating import render
from app.preflights import long_untried
from app.security import CheckedForm
from app.submit import submit
from store.database import Store
from store.studies import get_study
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec, parse_spec_text

router = APIRouter(include_in_schema=False)
router.include_router(start_router)


class LaunchQuery(BaseModel):
    """What the page's address may say."""

    clone_of: int | None = Field(None, alias="from", ge=1, le=ID_LIMIT)
    dataset: str = Field("", max_length=100)
    recipe: str = Field("", max_length=100)
    run: int = Field(1, ge=1, le=ID_LIMIT)
    size: str = Field("", max_length=20)
    similarity: str = Field("", max_length=20)
    weights: str = Field("package", max_length=20)
    study: int | None = Field(None, ge=1, le=ID_LIMIT)


@router.get("/launch", name="launch_page")
def launch(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    asked: Annotated[LaunchQuery, Query()],
) -> HTMLResponse:
    """Show the form: untouched, on a dataset, by the guide, or filled with another run's spec."""
    base = _asked_base(store, asked)
    typed = Typed(base.values, priority=base.priority) if base is not None else None
    if asked.dataset:
        values = typed.values if typed else default_values()
        values = {**values, "dataset.name": asked.dataset, **_cut(request)}
        typed = replace(typed or Typed({}), values=values)
    elif base is not None and base.advice is not None:
        first = next(iter(dataset_choices(store)), None)
        typed = Typed({**base.values, "dataset.name": first.name if first else ""})
    joined = "" if asked.study is None else str(get_study(store, asked.study).id)
    page = launch_context(store, settings, typed, base=base, study=joined)
    return render(request, "pages/launch.html", page)


def _cut(request: Request) -> dict[str, str]:
    """Return the fields of a cut that a dataset's page asks for."""
    return {
        f"dataset.{name}": request.query_params[f"dataset.{name}"][:20]
        for name in CUT_FIELDS
        if f"dataset.{name}" in request.query_params
    }


def _asked_base(store: Store, asked: LaunchQuery) -> Base | None:
    if asked.clone_of is not None:
        return run_base(store, asked.clone_of)
    if asked.recipe:
        return recipe_base(asked.recipe, asked.run)
    if asked.size or asked.similarity:
        return guide_base(asked.size, asked.similarity, asked.weights, asked.dataset)
    return None


@router.post("/launch", name="launch_submit")
def launch_submit(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    form: CheckedForm,
    untried: Annotated[bool, Query()] = False,
) -> Response:
    """Queue the run that the form or the YAML describes, or show what is wrong with it.

    Of a long run that was not tried before it is asked first whether it should be.

    Args:
        untried: That is answered.
    """
    typed = Typed.of(form)
    is_yaml = form.get("source") == "yaml"
    priority, priority_error = whole_number("priority", typed.priority, PRIORITIES, 0)
    try:
        spec = parse_spec_text(typed.yaml or "") if is_yaml else parse_spec(spec_data(typed.values))
        if priority_error is not None:
            raise InvalidInput.of(priority_error)
        check_launch(store, settings, spec, may_leak=typed.acknowledge_leaks)
        if not untried and (long := long_untried(store, settings, spec)) is not None:
            page = launch_context(
                store,
                settings,
                typed if is_yaml else replace(typed, yaml=None),
                base=typed_base(store, form),
                untried=Untried(long, "yaml" if is_yaml else "form"),
            )
            return render(request, "pages/launch.html", page)
        run, _ = submit(
            store,
            settings,
            bell,
            spec,
            owner=owner,
            priority=priority,
            study_id=int(typed.study)
            if typed.study.isascii() and typed.study.isdecimal()
            else None,
            note=typed.note.strip(),
            acknowledge_leaks=typed.acknowledge_leaks,
        )
    except InvalidInput as error:
        found = [item for item in error.errors if item.field != "priority"]
        page = launch_context(
            store,
            settings,
            typed if is_yaml else replace(typed, yaml=None),
            errors=() if is_yaml else found,
            priority_error=priority_error,
            yaml_errors=found if is_yaml else (),
            base=typed_base(store, form),
        )
        return render(request, "pages/launch.html", page, 422)
    return RedirectResponse(request.app.url_path_for("run_page", run_id=run.id), 303)


@router.post("/launch/sync", name="launch_sync")
def launch_sync(
    request: Request, store: StoreDep, settings: SettingsDep, form: CheckedForm
) -> Response:
    """Tell what was typed as the other of form and YAML, what is wrong, and what it comes to."""
    return synced(request, store, settings, Typed.of(form), is_yaml=form.get("source") == "yaml")


@router.post("/launch/check", name="launch_check")
def launch_check(
    request: Request, store: StoreDep, settings: SettingsDep, form: CheckedForm
) -> HTMLResponse:
    """Show the form again with its YAML and what it comes to, for a browser without scripts."""
    typed = replace(Typed.of(form), yaml=None)
    errors: tuple[FieldError, ...] = ()
    try:
        parse_spec(spec_data(typed.values))
    except InvalidInput as error:
        errors = error.errors
    page = launch_context(store, settings, typed, errors=errors, base=typed_base(store, form))
    return render(request, "pages/launch.html", page, 422 if errors else 200)


def typed_base(store: Store, form: FormData) -> Base | None:
    """Return where a posted form began."""
    values = {key: value for key, value in form.items() if isinstance(value, str)}
    return find_base(store, values.get("base", ""), values)
