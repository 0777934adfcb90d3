"""Files of specs and recipes as YAML; `trainer.recipes` says what a recipe is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.errors import FieldError, InvalidInput, NotFound, nearest
from trainer.parsing import yaml_data

if TYPE_CHECKING:
    from trainer.recipe_runs import RecipeRun
    from trainer.recipes import Recipe


def load_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file: a spec, or a recipe (which has the key `runs` or `steps`).

    Raises:
        NotFound: If there is no such file.
        InvalidInput: If it cannot be read as a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", _neighbours(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        problem = FieldError("", str(path), f"a readable text file ({error})")
        raise InvalidInput.of(problem) from error
    return as_mapping(yaml_data(text), str(path))


def as_mapping(data: object, origin: str) -> dict[str, Any]:
    """Return `data` if it is a mapping.

    Raises:
        InvalidInput: If it is not; `origin` says where it came from.
    """
    if isinstance(data, Mapping):
        return dict(data)
    expected = "a mapping with the sections of a spec"
    raise InvalidInput.of(FieldError("", origin, expected, "Start with `dataset: {name: digits}`."))


def steps_to_send(recipe: Recipe) -> list[dict[str, Any]]:
    """Return a recipe's steps as the API takes them: common sections and dataset filled in."""
    sent = []
    for step in recipe.steps:
        one: dict[str, Any] = {
            "name": step.name,
            "after": list(step.after),
            "when_failed": step.when_failed,
        }
        if step.vote is None:
            one["runs"] = [_run_to_send(run) for run in step.runs]
        else:
            one["vote"] = step.vote.given.model_dump()
        sent.append(one)
    return sent


def _run_to_send(run: RecipeRun) -> dict[str, Any]:
    sent = {**run.spec, "reported": [number.model_dump() for number in run.reported]}
    if run.origin is not None:
        sent["from"] = f"best_of({run.origin.step}, {run.origin.metric})"
        sent["reported_with"] = dict(run.reported_with or {})
    return sent


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either."
    return nearest(path.name, sorted(other.name for other in folder.iterdir()))
