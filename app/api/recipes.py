"""Recipes: published studies, ready to launch."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.studies import WEBHOOK_WORDS, answer_once, request_key
from app.dependencies import BellDep, IdempotencyKey, JsonBody, Owner, SettingsDep, StoreDep
from app.leaks import ACKNOWLEDGE_LEAKS
from app.study_answers import RecipeOut, RecipeRunOut, RecipesOut, RecipeStepOut, StudyOut
from app.submit import submit_recipe
from app.texts import NOTE_LIMIT
from store.webhooks import URL_LIMIT, checked_webhook
from trainer.planning import SEEDS
from trainer.recipes import Recipe, load_recipe, load_recipes

router = APIRouter(prefix="/recipes", tags=["recipes"])

Name = Annotated[str, Path(max_length=200, examples=["s1-ants-and-bees"])]


class LaunchIn(BaseModel):
    """How to launch a recipe."""

    model_config = ConfigDict(extra="forbid")

    dataset: str | None = Field(
        None, min_length=1, max_length=100, description="In place of the recipe's."
    )
    epochs: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="In place of each run's; one that begins with another's keeps its proportion.",
    )
    scale: Literal["full", "small"] = Field(
        "full", description="small: fewer and smaller images and two epochs, for a laptop."
    )
    substitute: bool = Field(
        False,
        description="Networks whose weights come with a package in place of those whose weights "
        "are downloaded; their rows say so.",
    )
    seeds: int = Field(
        1,
        ge=SEEDS[0],
        le=SEEDS[1],
        description="How often each run is repeated, with the seeds after its own.",
    )
    note: str = Field("", max_length=NOTE_LIMIT, description="In place of the recipe's.")
    webhook: str = Field("", max_length=URL_LIMIT, description=WEBHOOK_WORDS)
    webhook_runs: bool = Field(False, description="Tell the webhook of each run's end as well.")
    acknowledge_leaks: bool = Field(False, description=ACKNOWLEDGE_LEAKS)


@router.get("")
def index() -> RecipesOut:
    """List the recipes, without their runs."""
    return RecipesOut(recipes=[_out(recipe, with_runs=False) for recipe in load_recipes()])


@router.get("/{name}")
def show(name: Name) -> RecipeOut:
    """Return a recipe with its specs and what its authors reported."""
    return _out(load_recipe(name), with_runs=True)


@router.post(
    "/{name}/launch",
    status_code=201,
    responses={200: {"model": StudyOut, "description": "This key has made this study before."}},
    dependencies=[JsonBody],
)
def launch(
    response: Response,
    name: Name,
    how: LaunchIn,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    idempotency_key: IdempotencyKey = None,
) -> StudyOut:
    """Launch a recipe's runs, or those of its first steps, as a study; all or none."""
    recipe = load_recipe(name)
    webhook = checked_webhook(how.webhook, each_run=how.webhook_runs, hosts=settings.webhook_hosts)
    request = request_key(idempotency_key, recipe.key, how.model_dump(mode="json"))
    return answer_once(
        response,
        store,
        owner,
        request,
        lambda: submit_recipe(
            store,
            settings,
            bell,
            recipe,
            owner=owner,
            dataset=how.dataset,
            epochs=how.epochs,
            small=how.scale == "small",
            substitute=how.substitute,
            seeds=how.seeds,
            note=how.note,
            webhook=webhook,
            acknowledge_leaks=how.acknowledge_leaks,
            request=request,
        ),
    )


def _out(recipe: Recipe, *, with_runs: bool) -> RecipeOut:
    runs = [
        RecipeRunOut(
            name=run.name,
            step=step.name,
            begins_with=run.origin.words() if run.origin else "",
            spec=run.spec,
            reported=list(run.reported),
            substitutable=run.is_substitutable,
        )
        for step in recipe.steps
        for run in step.runs
    ]
    steps = [
        RecipeStepOut(
            name=step.name,
            after=list(step.after),
            when_failed=step.when_failed,
            voters=list(recipe.voters(step)),
            reported=list(step.vote.given.reported) if step.vote else [],
        )
        for step in recipe.steps
    ]
    return RecipeOut(
        name=recipe.key,
        title=recipe.name,
        note=recipe.note,
        dataset=recipe.dataset,
        study_data=recipe.study_data,
        runs_total=len(recipe.runs),
        runs=runs if with_runs else [],
        steps=steps if recipe.has_steps else [],
    )
