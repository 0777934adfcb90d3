"""Ways to begin a launch form: the guide, an earlier run, a recipe's run, a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import HTMLResponse, JSONResponse

from app.dependencies import SettingsDep, StoreDep
from app.forms import default_values, typed_values
from app.guide import ANSWERS, SMALL_BELOW_IMAGES, Advice, advise, package_is_here, paths
from app.launch_bases import recipe_specs
from app.pages.templating import render, templates
from app.security import CheckedForm
from store.database import Store
from store.runs import list_runs
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import SPEC_TEXT_LIMIT_BYTES, parse_spec_text
from trainer.recipes import Recipe, load_recipes

RECENT_RUNS = 50

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Guide:
    """The guide's questions, and what is answered so far."""

    answers: Mapping[str, Mapping[str, str]]
    given: Mapping[str, str]
    hint: str
    """What is known of the dataset's size; empty where nothing is."""
    advice: Advice | None


@dataclass(frozen=True)
class RecipeChoice:
    """A recipe, and its runs to start from."""

    recipe: Recipe
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Start:
    """What the page offers to start from."""

    guide: Guide
    recipes: tuple[RecipeChoice, ...]
    recent: tuple[tuple[int, str], ...]
    """Numbers and names of the newest runs."""


def start_context(
    store: Store, advice: Advice | None, dataset: str, train_images: int | None
) -> Start:
    """Gather what the page offers to start from."""
    return Start(
        guide=guide_context(advice, dataset, train_images),
        recipes=tuple(
            RecipeChoice(recipe, tuple(spec.display_name() for spec in recipe_specs(recipe.key)))
            for recipe in load_recipes()
        ),
        recent=tuple((run.id, run.name) for run in list_runs(store, limit=RECENT_RUNS).rows),
    )


def guide_context(advice: Advice | None, dataset: str, train_images: int | None) -> Guide:
    """Return the questions, answered by the advice or as far as the dataset answers them."""
    hint = ""
    size = "small"
    if train_images is not None:
        size = "small" if train_images < SMALL_BELOW_IMAGES else "large"
        called = "few" if size == "small" else "many"
        hint = f"{dataset} has {train_images:,} images to train on: {called}."
    given = {"size": size, "similarity": "similar"}
    given["weights"] = "package" if package_is_here() else "download"
    if advice is not None:
        given = {name: getattr(advice, name) for name in ANSWERS}
    return Guide(ANSWERS, given, hint, advice)


@router.get("/launch/guide", name="launch_guide")
def launch_guide(
    request: Request,
    size: Annotated[str, Query(max_length=20)] = "",
    similarity: Annotated[str, Query(max_length=20)] = "",
    weights: Annotated[str, Query(max_length=20)] = "",
) -> JSONResponse:
    """Tell a script what the guide sets, and its reasons as markup."""
    advice = advise(size, similarity, weights)
    context = {"advice": advice}
    rendered = templates().TemplateResponse(request, "partials/launch_advice.html", context)
    return JSONResponse(
        {
            "token": advice.token,
            "values": advice.values,
            "defaults": {path: default_values()[path] for path in paths()},
            "advice": bytes(rendered.body).decode(),
        }
    )


@router.post("/launch/file", name="launch_file")
async def launch_file(
    request: Request, store: StoreDep, settings: SettingsDep, form: CheckedForm
) -> HTMLResponse:
    """Fill the form from an uploaded YAML file, or show the file with what is wrong with it."""
    from app.pages.launch_context import Typed, launch_context

    text, errors = await _text(form.get("spec_file"))
    try:
        if errors:
            raise InvalidInput.of(*errors)
        spec = parse_spec_text(text)
        typed = Typed(typed_values(spec.model_dump(mode="json")), yaml=text)
        page = launch_context(store, settings, typed)
    except InvalidInput as error:
        page = launch_context(store, settings, None, yaml=text, yaml_errors=error.errors)
    return render(request, "pages/launch.html", page, 422 if page.yaml_errors else 200)


async def _text(given: object) -> tuple[str, tuple[FieldError, ...]]:
    """Return an uploaded file's text, and what is wrong with it."""
    if not isinstance(given, UploadFile):
        return "", (FieldError("spec_file", None, "a YAML file", "Choose one first."),)
    try:
        content = await given.read(SPEC_TEXT_LIMIT_BYTES + 1)
    finally:
        await given.close()
    if len(content) > SPEC_TEXT_LIMIT_BYTES:
        limit = f"a file of at most {SPEC_TEXT_LIMIT_BYTES // 1024} KiB"
        return "", (FieldError("spec_file", given.filename, limit),)
    try:
        return content.decode(), ()
    except UnicodeDecodeError:
        return "", (FieldError("spec_file", given.filename, "a YAML file in UTF-8"),)
