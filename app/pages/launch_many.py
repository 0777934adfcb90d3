"""Many at once: several values of some of the launch form's fields, launched as one study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.forms import spec_data
from app.launch_bases import find_base
from app.leaks import FIELD as LEAKS
from app.pages.launch_context import PRIORITIES, Many, Typed, launch_context, whole_number
from app.pages.launch_study import study_words
from app.pages.templating import render
from app.security import CheckedForm
from app.sweeps import checked_sweep, count_words, study_name, submit_sweep
from store.database import Store
from store.settings import Settings
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import yaml_data
from trainer.sweeps.file import Sweep, as_sweep

NAME_LIMIT = 200

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ManyPreview:
    """What `partials/launch_many_preview.html` shows alone."""

    many: Many


@router.post("/launch/many", name="launch_many")
def launch_many(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    form: CheckedForm,
) -> Response:
    """Launch the study that the form describes, or show what it comes to or what is wrong."""
    typed = Typed.of(form)
    many = many_of(store, settings, typed.values)
    words = study_words(settings, typed.values, "many")
    priority, priority_error = whole_number("priority", typed.priority, PRIORITIES, 0)
    try:
        if many.errors or priority_error or form.get("many_act") != "launch":
            raise InvalidInput.of(*many.errors)
        study = submit_sweep(
            store,
            settings,
            bell,
            sweep_of_form(typed.values),
            typed.values.get("many_name", "").strip()[:NAME_LIMIT],
            owner=owner,
            note=words.note or typed.note.strip(),
            priority=priority,
            webhook=words.webhook,
            acknowledge_leaks=typed.acknowledge_leaks,
        )
    except InvalidInput as error:
        page = launch_context(
            store,
            settings,
            typed,
            base=find_base(store, str(form.get("base", ""))),
            many=many,
            priority_error=priority_error,
            errors=[one for one in error.errors if one.field == LEAKS],
        )
        is_wrong = many.errors or page.errors
        return render(request, "pages/launch.html", page, 422 if is_wrong else 200)
    return RedirectResponse(request.app.url_path_for("study_page", study_id=study.id), 303)


@router.post("/parts/launch/many", name="launch_many_preview")
def preview(
    request: Request, store: StoreDep, settings: SettingsDep, form: CheckedForm
) -> HTMLResponse:
    """Show how many runs the form describes and their names, for a page that is open."""
    values = Typed.of(form).values
    is_begun = values.get("many_space", "").strip() or values.get("many_seeds", "") not in {"", "1"}
    page = ManyPreview(many_of(store, settings, values) if is_begun else Many())
    return render(request, "partials/launch_many_preview.html", page)


def many_of(store: Store, settings: Settings, values: Mapping[str, str]) -> Many:
    """Return what was typed into "Many at once", with what it comes to or what is wrong."""
    typed = {key: text for key, text in values.items() if key.startswith("many_")}
    wrong = study_words(settings, values, "many").errors
    try:
        expansion = checked_sweep(store, settings, sweep_of_form(values))
    except InvalidInput as problem:
        return Many(values=typed, errors=(*problem.errors, *wrong), is_open=True)
    return Many(
        values=typed,
        count=expansion.count,
        summary=count_words(expansion),
        study=typed.get("many_name", "").strip() or study_name(expansion),
        names=tuple(expansion.names),
        errors=wrong,
        is_open=True,
    )


def sweep_of_form(values: Mapping[str, str]) -> Sweep:
    """Return the sweep that the form describes.

    Raises:
        InvalidInput: With the path of each wrong field, below `sweep`.
    """
    kind = values.get("many_kind", "grid")
    given: dict[str, Any] = {"base": spec_data(values), "kind": kind}
    given["space"] = _mapping(values, "many_space", "space", "optimizer.lr: [0.1, 0.01]")
    given |= _texts(values, {"seeds": "many_seeds"})
    if kind in {"random", "ladder"}:
        given |= _texts(values, {"runs": "many_runs"})
    if kind == "search":
        given.pop("seeds", None)
        given["search"] = _texts(
            values,
            {name: f"many_{name}" for name in ("trials", "sampler", "pruner", "at_once", "metric")},
        )
    if kind == "ladder":
        given["ladder"] = _texts(values, {"keep": "many_keep", "metric": "many_metric"})
        for name, example in (("probe", "training: {epochs: 2}"), ("promote", "freeze: {}")):
            if values.get(f"many_{name}", "").strip():
                given["ladder"][name] = _mapping(values, f"many_{name}", f"ladder.{name}", example)
    return as_sweep(given)


def _texts(values: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Any]:
    found = {key: values.get(name, "").strip() for key, name in names.items()}
    return {key: text for key, text in found.items() if text}


def _mapping(values: Mapping[str, str], name: str, field: str, example: str) -> dict[str, Any]:
    text = values.get(name, "")
    try:
        found = yaml_data(text)
    except InvalidInput as problem:
        raise InvalidInput.of(*(one.below(f"sweep.{field}") for one in problem.errors)) from problem
    if found is None:
        return {}
    if not isinstance(found, dict):
        expected = f"YAML such as `{example}`"
        raise InvalidInput.of(FieldError(f"sweep.{field}", text[:80], expected))
    return {str(key): value for key, value in found.items()}
