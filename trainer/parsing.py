"""From text to an `ExperimentSpec`, and from pydantic's findings to our field errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from trainer.errors import FieldError, InvalidInput, nearest
from trainer.spec import ExperimentSpec

SPEC_TEXT_LIMIT_BYTES = 256 * 1024  # far above any real spec; stops a mistaken upload early
YAML_LIMIT_NODES = 200_000  # far above a study of thousands of specs; bounds what aliases blow up


def parse_spec(data: object) -> ExperimentSpec:
    """Return the spec that `data`, usually a mapping out of YAML or JSON, describes.

    Raises:
        InvalidInput: With one field error for each thing wrong.
    """
    if not isinstance(data, Mapping):
        raise InvalidInput.of(
            FieldError(
                "",
                _short(data),
                "a mapping with the sections of a spec",
                "Start with `dataset: {name: digits}`.",
            )
        )
    try:
        return ExperimentSpec.model_validate(data)
    except ValidationError as error:
        raise InvalidInput.of(*field_errors(error, ExperimentSpec)) from error


def parse_spec_text(text: str) -> ExperimentSpec:
    """Return the spec in a YAML (or JSON) document.

    Raises:
        InvalidInput: If the text is not YAML, or not a valid spec.
    """
    return parse_spec(yaml_data(text))


def yaml_data(text: str, limit_bytes: int = SPEC_TEXT_LIMIT_BYTES) -> object:
    """Return what a YAML (or JSON) document holds, be it as hostile as it likes.

    Raises:
        InvalidInput: If the text is not YAML, longer than the limit, or made far larger than it
            is by its aliases.
    """
    if len(text.encode(errors="replace")) > limit_bytes:
        raise InvalidInput.of(
            FieldError(
                "",
                f"{len(text)} characters",
                f"a document of at most {limit_bytes // 1024} KiB",
            )
        )
    try:
        loader = yaml.SafeLoader(text)  # not the one in C, which deep nesting crashes
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded_nodes(node, {}) > YAML_LIMIT_NODES:
            raise InvalidInput.of(
                FieldError("", _short(text), f"at most {YAML_LIMIT_NODES:,} values")
            )
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: a date that is none, a number of thousands of digits.
        problem = " ".join(str(error).split())
        raise InvalidInput.of(FieldError("", _short(text), f"YAML or JSON ({problem})")) from error


def field_errors(error: ValidationError, model: type[BaseModel]) -> tuple[FieldError, ...]:
    """Return pydantic's findings about `model` in our words: field, value, expected, remedy."""
    return tuple(_field_error(item, model) for item in error.errors(include_url=False))


def _field_error(item: Any, model: type[BaseModel]) -> FieldError:
    context = item.get("ctx", {})
    path = [str(part) for part in item["loc"]]
    if item["type"] == "tuneboard":
        if "field" in context:
            path += context["field"].split(".")
        return FieldError(
            ".".join(path),
            _short(context.get("value", item["input"])),
            context["expected"],
            context.get("remedy", ""),
        )
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        remedy = nearest(path[-1], known) or "Known here: " + ", ".join(known) + "."
        return FieldError(".".join(path), _short(item["input"]), "a known key", remedy)
    if item["type"] == "missing":
        return FieldError(".".join(path), None, "given", "It has no default.")
    return FieldError(".".join(path), _short(item["input"]), _expectation(item))


def _expectation(item: Any) -> str:
    """Return pydantic's message as the end of "Expected X to be …"."""
    message = str(item["msg"])
    for opening in ("Input should be ", "Value should be ", "Value should have ", "String should "):
        if message.startswith(opening):
            rest = message.removeprefix(opening)
            return rest if opening.endswith("be ") else f"such that it should {rest}"
    return message[:1].lower() + message[1:]


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys of the section that `path` leads to."""
    for part in path:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _expanded_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a document has once its aliases are copied out.

    Raises:
        ValueError: If a value contains itself.
    """
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("a value contains itself")
        return known[id(node)]
    known[id(node)] = 0
    count = 1
    if isinstance(node, yaml.CollectionNode):
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                count += _expanded_nodes(part, known)
    known[id(node)] = count
    return count


def _short(value: object) -> object:
    """Return `value` as JSON can hold it, cut where it is long."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "…"
