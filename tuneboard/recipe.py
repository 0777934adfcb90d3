"""Files of specs and recipes as YAML; `trainer.recipes` says what a recipe is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import FieldError, InvalidInput, NotFound, nearest
from trainer.parsing import yaml_data


def load_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file: a spec, or a recipe (which has the key `runs`).

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


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either."
    return nearest(path.name, sorted(other.name for other in folder.iterdir()))
