"""Writes docs/reference.md, the list of spec fields and events: `python docs/build_reference.py`.

A test compares the file with what this would write, so the page cannot drift from the code.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from store.settings import Settings
from trainer import events
from trainer.spec import ExperimentSpec

PAGE = Path(__file__).with_name("reference.md")


def reference() -> str:
    """Return the page."""
    parts = [
        "# Reference: spec, events, settings",
        "Written by `python docs/build_reference.py` from the code; edit the docstrings there.",
        "## The spec",
        "A YAML file, the body of `POST /api/v1/runs` and the Launch form hold the same fields. "
        "Unknown keys are refused.",
        *_sections(ExperimentSpec, ""),
        "## Events",
        "One JSON object a line in a run's `events.jsonl`, each with `kind` and `time` (Unix "
        "seconds); the same objects arrive in live streams and are taken by "
        "`POST /api/v1/runs/{id}/events`.",
        *(_event(event) for event in get_args(events.Event)),
        "## Settings",
        "Environment variables; the embedded default needs none.",
        _settings(),
    ]
    return "\n\n".join(parts) + "\n"


def _sections(model: type[BaseModel], prefix: str) -> list[str]:
    own, below = [], []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            below += _sections(annotation, f"{prefix}{name}.")
            continue
        default = (
            "required"
            if field.is_required()
            else f"`{_plain(field.get_default(call_default_factory=True))}`"
        )
        cells = (f"`{prefix}{name}`", _type(annotation), default, _bounds(field.metadata))
        own.append(f"| {' | '.join(cells)} | {field.description} |")
    head = f"### {prefix.rstrip('.') or 'top level'}"
    table = "\n".join(
        ["| field | type | default | bounds | meaning |", "|---|---|---|---|---|", *own]
    )
    return [head, table, *below]


def _event(event: type[BaseModel]) -> str:
    kind = event.model_fields["kind"].default
    own = [name for name in event.model_fields if name not in {"kind", "time"}]
    doc = inspect.getdoc(event) or ""
    fields = ", ".join(f"`{name}`" for name in own)
    return f"### {kind}\n\n{' '.join(doc.split())}\n\nFields: {fields}."


def _settings() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default if field.default_factory is None else "`~/.tuneboard`"
        shown = default if field.default_factory else _plain(default)
        rows.append(f"| `TUNEBOARD_{name.upper()}` | {shown or '–'} | {field.description} |")
    return "\n".join(rows)


def _plain(value: object) -> str:
    if value is None or value == () or str(value) in {"", "**********"}:
        return "" if value is not None else "null"
    return str(value)


def _type(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return " / ".join(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(
            "empty" if part is type(None) else _type(part) for part in get_args(annotation)
        )
    text = re.sub(r"typing\.|trainer\.\w+\.|<class '|'>", "", str(annotation))
    return text.replace("|", "or").replace("NoneType", "empty")


def _bounds(metadata: list[object]) -> str:
    words = {
        "ge": "≥",
        "gt": ">",
        "le": "≤",
        "lt": "<",
        "min_length": "length ≥",
        "max_length": "length ≤",
    }
    found = [
        f"{words[key]} {getattr(item, key)}"
        for item in metadata
        for key in words
        if hasattr(item, key)
    ]
    return ", ".join(found) or "–"


if __name__ == "__main__":
    PAGE.write_text(textwrap.dedent(reference()))
