"""A published study launched whole from the Launch page."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.pages.launch_context import StudyPart, launch_context, whole_number
from app.pages.launch_study import study_words
from app.pages.templating import render
from app.security import CheckedForm
from app.submit import submit_recipe
from trainer.errors import InvalidInput
from trainer.planning import SEEDS
from trainer.recipes import load_recipe

router = APIRouter(include_in_schema=False)


@router.post("/launch/recipe", name="recipe_submit")
def recipe_submit(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    form: CheckedForm,
) -> Response:
    """Queue a recipe's runs, or show why they cannot be."""
    typed = StudyPart({key: text for key, text in form.items() if isinstance(text, str)})
    recipe = load_recipe(typed.values.get("recipe", ""))
    seeds, seeds_error = whole_number("seeds", typed.values.get("seeds", ""), SEEDS, 1)
    words = study_words(settings, typed.values, "recipe")
    try:
        if errors := (*([seeds_error] if seeds_error else ()), *words.errors):
            raise InvalidInput.of(*errors)
        study = submit_recipe(
            store,
            settings,
            bell,
            recipe,
            owner=owner,
            dataset=typed.values.get("recipe_dataset", "").strip() or None,
            small="small" in typed.values,
            substitute="substitute" in typed.values,
            seeds=seeds,
            note=words.note,
            webhook=words.webhook,
            acknowledge_leaks="acknowledge_leaks" in typed.values,
        )
    except InvalidInput as error:
        page = launch_context(store, settings, recipe=replace(typed, errors=error.errors))
        return render(request, "pages/launch.html", page, 422)
    return RedirectResponse(request.app.url_path_for("study_page", study_id=study.id), 303)
