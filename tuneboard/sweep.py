"""Sweeps from files and options of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.errors import FieldError, InvalidInput
from trainer.parsing import yaml_data

_AROUND = ("name", "note", "priority", "webhook", "webhook_runs", "acknowledge_leaks")


def sweep_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the API takes, of a file that holds that, a bare sweep, or a spec alone."""
    if "sweep" in document:
        return dict(document)
    if "base" in document:
        around = {key: document[key] for key in _AROUND if key in document}
        return {**around, "sweep": {k: v for k, v in document.items() if k not in _AROUND}}
    return {"sweep": {"base": dict(document)}}


def with_options(
    document: Mapping[str, Any], values: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a document with what the command line says in place of its own words.

    Args:
        document: As the API takes it.
        values: Such as `optimizer.lr=0.1,0.01` or `optimizer.lr={low: 0.001, high: 0.1}`.
        options: Keys of the sweep, or of its search after a dot; None: not given.

    Raises:
        InvalidInput: If a value cannot be read.
    """
    given = document["sweep"]
    sweep = dict(given) if isinstance(given, Mapping) else {}
    space = sweep.get("space")
    sweep["space"] = {**(space if isinstance(space, Mapping) else {}), **dict(map(_axis, values))}
    for key, value in options.items():
        if value is None:
            continue
        part, _, name = key.rpartition(".")
        if part:
            own = sweep.get(part)
            sweep[part] = {**(own if isinstance(own, Mapping) else {}), name: value}
        else:
            sweep[name] = value
    if "kind" not in sweep:
        sweep["kind"] = _kind(sweep)
    return {**document, "sweep": sweep}


def _kind(sweep: Mapping[str, Any]) -> str:
    """Return the kind that what is given speaks of."""
    for name in ("search", "ladder"):
        if sweep.get(name) is not None:
            return name
    return "grid" if sweep.get("runs") is None else "random"


def _axis(text: str) -> tuple[str, Any]:
    """Return the path and the values of `PATH=VALUES`."""
    path, equals, said = text.partition("=")
    expected = "PATH=VALUES, such as optimizer.lr=0.1,0.01"
    if not equals or not path.strip() or not said.strip():
        raise InvalidInput.of(FieldError("--set", text[:80], expected))
    opening = said.strip()[0]
    try:
        found = yaml_data(said if opening in "[{" else f"[{said}]")
    except InvalidInput as problem:
        remedy = "A range is {low: 0.001, high: 0.1, log: true}, in quotes."
        raise InvalidInput.of(FieldError("--set", text[:80], expected, remedy)) from problem
    return path.strip(), found
