"""Names of a sweep's runs: what differs, as short as it stays clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.recipe_runs import NAME_LIMIT
from trainer.sweeps.space import Axis

UNLABELLED = frozenset({"model.architecture", "dataset.name"})
"""Fields whose values say what they are."""
VALUE_LIMIT = 40


def labels(paths: Sequence[str]) -> dict[str, str]:
    """Return a short label for each path: its last words, as many as tell it from the others."""
    words = {path: path.split(".") for path in paths}
    short = dict.fromkeys(paths, 1)
    while True:
        made = {path: ".".join(words[path][-short[path] :]) for path in paths}
        twice = [path for path, count in Counter(made.values()).items() if count > 1]
        longer = [p for p in paths if made[p] in twice and short[p] < len(words[p])]
        if not longer:
            return {path: text.replace("_", " ") for path, text in made.items()}
        for path in longer:
            short[path] += 1


def name_of(axes: Sequence[Axis], values: Mapping[str, Any], opening: str = "") -> str:
    """Return what differs in a run.

    Args:
        axes: Of the sweep.
        values: Of the run, by path, as its spec holds them.
        opening: What stands before it, such as the base's own name.
    """
    known = labels([axis.path for axis in axes])
    parts = []
    for axis in axes:
        text = value_text(values[axis.path])
        parts.append(text if axis.path in UNLABELLED else f"{known[axis.path]} {text}")
    said = ", ".join(parts)
    return (f"{opening}: {said}" if opening and said else opening or said)[:NAME_LIMIT]


def value_text(value: Any) -> str:
    """Return a value as a name holds it."""
    if isinstance(value, Mapping):
        text = " ".join(f"{key} {value_text(one)}" for key, one in value.items())
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(map(value_text, value)) + "]"
    elif isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif value is None:
        text = "unset"
    else:
        text = str(value)
    return text if len(text) <= VALUE_LIMIT else text[: VALUE_LIMIT - 1] + "…"
