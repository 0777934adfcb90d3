"""What a launch form can be started from: the guide, an earlier run, a run of a recipe.

A base is named by a short token, which the form carries along, so that whatever is posted can be
shown with what changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from app.forms import default_values, typed_values
from app.guide import Advice, advise
from store.database import Store
from store.runs import get_run
from store.values import ID_LIMIT
from trainer.errors import FieldError, InvalidInput, TuneboardError
from trainer.planning import launchable, plan
from trainer.recipes import load_recipe
from trainer.spec import ExperimentSpec


@dataclass(frozen=True)
class Base:
    """Where a form began."""

    token: str
    """`run:12`, `recipe:s1-ants-and-bees:3`, `guide:small:similar:package`."""
    label: str
    """In words, to go on with "Filled in from …"."""
    values: Mapping[str, str]
    """As they would be typed, by dotted path."""
    run_id: int | None = None
    priority: str = "0"
    advice: Advice | None = None


def run_base(store: Store, run_id: int) -> Base:
    """Return an earlier run as a base.

    Raises:
        NotFound: If there is no such run.
    """
    row = get_run(store, run_id)
    return Base(
        token=f"run:{row.id}",
        label=f"run {row.id}, {row.name}",
        values=typed_values(row.spec),
        run_id=row.id,
        priority=str(row.priority),
    )


def recipe_base(key: str, number: int) -> Base:
    """Return a run of a recipe as a base.

    Raises:
        NotFound: If there is no such recipe.
        InvalidInput: If the recipe has fewer runs.
    """
    runs = recipe_specs(key)
    if not 1 <= number <= len(runs):
        raise InvalidInput.of(FieldError("run", number, f"from 1 to {len(runs)}"))
    spec = runs[number - 1]
    return Base(
        token=f"recipe:{key}:{number}",
        label=f"“{spec.display_name()}” of the study “{load_recipe(key).name}”",
        values=typed_values(spec.model_dump(mode="json")),
    )


def guide_base(size: str, similarity: str, weights: str, dataset: str = "") -> Base:
    """Return the guide's advice as a base.

    Raises:
        InvalidInput: If an answer is none that the guide knows.
    """
    advice = advise(size, similarity, weights)
    return Base(
        token=advice.token,
        label="the guide",
        values={**default_values(), "dataset.name": dataset, **advice.values},
        advice=advice,
    )


def find_base(store: Store, token: str, values: Mapping[str, str] | None = None) -> Base | None:
    """Return the base that a form names; None where it names none, or one that is gone.

    Args:
        values: As typed by now; what a base says nothing about is taken from here.
    """
    kind, *rest = token.split(":")
    try:
        if kind == "run" and len(rest) == 1 and rest[0].isdecimal() and int(rest[0]) <= ID_LIMIT:
            return run_base(store, int(rest[0]))
        if kind == "recipe" and len(rest) == 2 and rest[1].isdecimal():
            return recipe_base(rest[0], int(rest[1]))
        if kind == "guide" and len(rest) == 3:
            size, similarity, weights = rest
            return guide_base(size, similarity, weights, (values or {}).get("dataset.name", ""))
    except TuneboardError:
        return None
    return None


@lru_cache(maxsize=32)
def recipe_specs(key: str) -> tuple[ExperimentSpec, ...]:
    """Return every run that a recipe may launch, in its order.

    Raises:
        NotFound: If there is no such recipe.
    """
    return tuple(planned.spec for planned in launchable(plan(load_recipe(key))))
