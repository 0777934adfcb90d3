"""How much of the spread of results a swept field explains, beside what chance would give.

The measure is eta squared: the spread between the means of a field's values as a share of the
whole spread. It says nothing about cause: fields that were swept together share what they explain.
With few runs a field of many values explains a lot by chance, so each share stands beside that of
shuffled results (a permutation test in the sense of Fisher, 1935).
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

SHUFFLES = 200
BINS = 4
"""Groups of about equal size that a field of many numbers is cut into."""
FEW_RUNS = 12
"""Below so many runs the page says that the shares are rough."""


@dataclass(frozen=True)
class Importance:
    """What a field explains; shares are in [0, 1]."""

    path: str
    levels: int
    """Groups of runs that were compared: one a value, or `BINS` of many numbers."""
    is_binned: bool
    share: float
    """Eta squared."""
    chance: float
    """Its mean over shuffled results."""
    limit: float
    """What 19 of 20 shuffled results stay below."""
    same_as: tuple[str, ...]
    """Fields that divide the runs in the same way: nothing can tell them apart."""

    @property
    def is_clear(self) -> bool:
        """Whether it explains more than shuffled results do."""
        return self.share > self.limit


def importances(
    fields: Mapping[str, Sequence[str]],
    results: Sequence[float],
    *,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> tuple[Importance, ...]:
    """Return what each field explains of the results, most first.

    A field is left out that is the same in all runs, or has a value of its own for most of them
    without being a number.

    Args:
        fields: By path, a value a run as text; empty where it is unset.
        results: One a run, at least two.
        seed: Of the shuffles, so that a page shows the same again.
    """
    groups: dict[str, list[int]] = {}
    binned: set[str] = set()
    for path, values in fields.items():
        divided, is_binned = _divide(values)
        if divided is not None:
            groups[path] = divided
            if is_binned:
                binned.add(path)
    shares = {path: explained(own, results) for path, own in groups.items()}
    chance = _shuffled(groups, results, shuffles, seed)
    found = [
        Importance(
            path=path,
            levels=len(set(own)),
            is_binned=path in binned,
            share=shares[path],
            chance=sum(chance[path]) / len(chance[path]),
            limit=sorted(chance[path])[int(0.95 * len(chance[path]))],
            same_as=tuple(other for other in groups if other != path and groups[other] == own),
        )
        for path, own in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.share, one.path)))


def explained(groups: Sequence[Hashable], results: Sequence[float]) -> float:
    """Return eta squared: the share of the results' spread that lies between the groups."""
    mean = sum(results) / len(results)
    whole = sum((value - mean) ** 2 for value in results)
    if whole <= 0:
        return 0.0
    return _between(groups, results, mean) / whole


def _between(groups: Sequence[Hashable], results: Sequence[float], mean: float) -> float:
    sums: dict[Hashable, float] = {}
    sizes: dict[Hashable, int] = {}
    for group, value in zip(groups, results, strict=True):
        sums[group] = sums.get(group, 0.0) + value - mean
        sizes[group] = sizes.get(group, 0) + 1
    return sum(total * total / sizes[group] for group, total in sums.items())


def _shuffled(
    groups: Mapping[str, Sequence[int]], results: Sequence[float], shuffles: int, seed: int
) -> dict[str, list[float]]:
    """Return the shares of results that were dealt out anew, by field."""
    chance = random.Random(seed)  # noqa: S311 - a test of chance, no secret
    dealt = list(results)
    found: dict[str, list[float]] = {path: [] for path in groups}
    for _ in range(shuffles):
        chance.shuffle(dealt)
        for path, own in groups.items():
            found[path].append(explained(own, dealt))
    return found


def _divide(values: Sequence[str]) -> tuple[list[int] | None, bool]:
    """Return which group each run is in, numbered by appearance, and whether numbers were binned.

    None where the runs cannot be grouped.
    """
    distinct = list(dict.fromkeys(values))
    if len(distinct) < 2:
        return None, False
    if 3 * len(distinct) <= len(values) or len(distinct) == 2:
        return [distinct.index(value) for value in values], False
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        if 2 * len(distinct) > len(values):
            return None, False
        return [distinct.index(value) for value in values], False
    order = sorted(set(numbers))
    bins = min(BINS, max(2, len(values) // 3))
    if len(order) <= bins:
        return [order.index(number) for number in numbers], False
    ranked = sorted(numbers)
    edges = [ranked[len(ranked) * cut // bins] for cut in range(1, bins)]
    return [sum(number >= edge for edge in edges) for number in numbers], True
