"""The Launch page: the spec's form, and a box for a spec as YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.dependencies import BellDep, Owner, SettingsDep, StoreDep
from app.forms import LaunchForm, default_values, launch_form, spec_data, typed_values
from app.pages.templating import render
from app.security import CheckedForm
from app.submit import submit, submit_recipe
from store.database import Store
from store.datasets import list_datasets
from store.runs import get_run
from store.values import ID_LIMIT
from trainer.datasets.catalogue import catalogue_entries
from trainer.errors import FieldError, InvalidInput
from trainer.parsing import parse_spec, parse_spec_text
from trainer.planning import SEEDS
from trainer.recipes import Recipe, load_recipe, load_recipes
from trainer.spec import ExperimentSpec

PRIORITIES = (-1000, 1000)
NOTE_LIMIT = 10_000

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class DatasetChoice:
    """A dataset that a run can name."""

    name: str
    label: str


@dataclass(frozen=True)
class LaunchPage:
    """What `pages/launch.html` shows."""

    form: LaunchForm
    datasets: tuple[DatasetChoice, ...]
    priority: str
    priority_error: FieldError | None
    note: str
    yaml: str
    yaml_errors: tuple[FieldError, ...]
    cloned: tuple[int, str] | None
    """Number and name of the run whose spec fills the form."""
    recipes: tuple[Recipe, ...] = ()
    recipe_errors: tuple[FieldError, ...] = ()
    section: str = "launch_page"
    priorities: tuple[int, int] = PRIORITIES
    seeds: tuple[int, int] = SEEDS

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """Everything wrong with the form."""
        return self.form.errors + ((self.priority_error,) if self.priority_error else ())


def launch_context(
    store: Store,
    *,
    values: Mapping[str, str] | None = None,
    errors: Iterable[FieldError] = (),
    priority: str = "0",
    priority_error: FieldError | None = None,
    note: str = "",
    yaml: str = "",
    yaml_errors: Iterable[FieldError] = (),
    cloned: tuple[int, str] | None = None,
    recipe_errors: Iterable[FieldError] = (),
) -> LaunchPage:
    """Gather the form as typed, with what is wrong beside it."""
    choices = dataset_choices(store)
    if values is None:
        first = choices[0].name if choices else ""
        values = {**default_values(), "dataset.name": first}
    return LaunchPage(
        form=launch_form(values, errors),
        datasets=choices,
        priority=priority,
        priority_error=priority_error,
        note=note,
        yaml=yaml,
        yaml_errors=tuple(yaml_errors),
        cloned=cloned,
        recipes=tuple(load_recipes()),
        recipe_errors=tuple(recipe_errors),
    )


def dataset_choices(store: Store) -> tuple[DatasetChoice, ...]:
    """Return the datasets there are, then those of the catalogue that a run would fetch."""
    rows = [row for row in list_datasets(store) if row.status != "failed"]
    # Ready ones first: a run on them starts at once.
    rows.sort(key=lambda row: (row.status != "ready", row.name))
    choices = [
        DatasetChoice(
            row.name, row.name if row.status == "ready" else f"{row.name} (being prepared)"
        )
        for row in rows
    ]
    known = {row.name for row in list_datasets(store)}
    choices += [
        DatasetChoice(entry.name, f"{entry.name} (prepared on first use)")
        for entry in catalogue_entries()
        if entry.name not in known
    ]
    return tuple(choices)


@router.get("/launch", name="launch_page")
def launch(
    request: Request,
    store: StoreDep,
    clone_of: Annotated[int | None, Query(alias="from", ge=1, le=ID_LIMIT)] = None,
    dataset: Annotated[str, Query(max_length=100)] = "",
) -> HTMLResponse:
    """Show the form: empty, on a dataset, or filled with another run's spec."""
    if clone_of is not None:
        row = get_run(store, clone_of)
        page = launch_context(
            store,
            values=typed_values(row.spec),
            priority=str(row.priority),
            cloned=(row.id, row.name),
        )
    elif dataset:
        page = launch_context(store, values={**default_values(), "dataset.name": dataset})
    else:
        page = launch_context(store)
    return render(request, "pages/launch.html", page)


@router.post("/launch", name="launch_submit")
def launch_submit(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    form: CheckedForm,
) -> Response:
    """Queue the run that the form or the YAML describes, or show what is wrong with it."""
    typed = {key: value for key, value in form.items() if isinstance(value, str)}
    is_yaml = "spec_yaml" in typed
    note = typed.get("note", "")[:NOTE_LIMIT]
    priority, priority_error = _whole_number("priority", typed.get("priority", ""), PRIORITIES, 0)
    try:
        spec = _spec(typed, is_yaml)
        if priority_error is not None:
            raise InvalidInput.of(priority_error)
        run, _ = submit(
            store, settings, bell, spec, owner=owner, priority=priority, note=note.strip()
        )
    except InvalidInput as error:
        found = [item for item in error.errors if item.field != "priority"]
        page = launch_context(
            store,
            values=None if is_yaml else typed,
            errors=() if is_yaml else found,
            priority=typed.get("priority", "0"),
            priority_error=priority_error,
            note=note,
            yaml=typed.get("spec_yaml", ""),
            yaml_errors=found if is_yaml else (),
        )
        return render(request, "pages/launch.html", page, 422)
    return RedirectResponse(request.app.url_path_for("run_page", run_id=run.id), 303)


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
    recipe = load_recipe(str(form.get("recipe", "")))
    seeds, seeds_error = _whole_number("seeds", str(form.get("seeds", "")), SEEDS, 1)
    try:
        if seeds_error is not None:
            raise InvalidInput.of(seeds_error)
        study = submit_recipe(
            store,
            settings,
            bell,
            recipe,
            owner=owner,
            dataset=str(form.get("recipe_dataset", "")).strip() or None,
            small="small" in form,
            substitute="substitute" in form,
            seeds=seeds,
        )
    except InvalidInput as error:
        page = launch_context(store, recipe_errors=error.errors)
        return render(request, "pages/launch.html", page, 422)
    return RedirectResponse(request.app.url_path_for("study_page", study_id=study.id), 303)


def _spec(typed: Mapping[str, str], is_yaml: bool) -> ExperimentSpec:
    return parse_spec_text(typed["spec_yaml"]) if is_yaml else parse_spec(spec_data(typed))


def _whole_number(
    field: str, text: str, bounds: tuple[int, int], usual: int
) -> tuple[int, FieldError | None]:
    """Return the number typed, or the usual one where nothing was; with what is wrong about it."""
    low, high = bounds
    try:
        number = int(text.strip() or usual)
    except ValueError:
        number = high + 1
    if low <= number <= high:
        return number, None
    return usual, FieldError(field, text, f"a whole number from {low} to {high}")
