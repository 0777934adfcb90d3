"""Which modules of a network are frozen, told by their dotted names alone.

The spec asks it of the catalogue's names, the trainer of the real model's. The new head is never
frozen; whoever asks leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.freeze_sections import FreezeSpec


def frozen_modules(spec: FreezeSpec, names: Sequence[str], stage: int) -> frozenset[str]:
    """Return the modules whose own parameters are frozen.

    Args:
        spec: What is frozen at first, and what each stage unfreezes.
        names: Of all modules, in the model's order; the root's is empty.
        stage: How many stages have begun.
    """
    match spec.layers:
        case "none":
            frozen: set[str] = set()
        case "backbone":
            frozen = set(names)
        case "first_children":
            frozen = first_children(names, spec.first_children or 0)
        case "up_to":
            frozen = up_to(names, spec.up_to or "")
        case "patterns":
            frozen = matching(names, spec.patterns)
    for begun in spec.schedule[:stage]:
        frozen -= set(names) if begun.unfreeze == "all" else matching(names, begun.unfreeze)
    return frozenset(frozen)


def first_children(names: Iterable[str], count: int) -> set[str]:
    """Return the first top-level modules and all that is in them."""
    listed = [name for name in names if name]
    children = [name for name in listed if "." not in name][:count]
    return {name for name in listed if name.partition(".")[0] in children}


def up_to(names: Sequence[str], last: str) -> set[str]:
    """Return all modules that come no later than `last`, and all that is in it."""
    within = [index for index, name in enumerate(names) if _is_in(name, last)]
    return set(names[: within[-1] + 1]) if within else set()


def matching(names: Iterable[str], patterns: Iterable[str]) -> set[str]:
    """Return the modules that match a pattern, and all that is in them.

    In a pattern `*` stands for anything, dots too.
    """
    listed = [name for name in names if name]
    found: set[str] = set()
    for pattern in patterns:
        roots = {name for name in listed if fnmatchcase(name, pattern)}
        found |= {name for name in listed if any(part in roots for part in _self_and_above(name))}
    return found


def is_within(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a pattern matches a module, or one that it is in."""
    listed = tuple(patterns)
    return any(fnmatchcase(part, one) for part in _self_and_above(name) for one in listed)


def _is_in(name: str, other: str) -> bool:
    return name == other or name.startswith(f"{other}.")


def _self_and_above(name: str) -> Iterable[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]
