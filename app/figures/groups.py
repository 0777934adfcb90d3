"""Runs grouped by their specs, and the mean and band of a group's curves. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

Band = Literal["minmax", "sd"]
BY_SETTINGS = "settings"
"""Groups by every field that is not in `NOT_GROUPED`."""
NOT_GROUPED = ("name", "training.seed")
"""These tell replicates of one setting apart."""
GRID_LIMIT = 2_000
"""Points at which runs are averaged, where theirs do not lie at the same places."""
LABEL_FIELDS = 3


@dataclass(frozen=True)
class Group:
    """Runs that are alike in what is grouped by."""

    label: str
    run_ids: tuple[int, ...]


@dataclass(frozen=True)
class GroupCurve:
    """Columns of equal length; a point without a value in any run is NaN but for x and runs."""

    x: NDArray[Any]
    mean: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    runs: NDArray[Any]
    """How many runs have a value at the point."""


def grouped(
    run_ids: Sequence[int], fields: Mapping[int, Mapping[str, str]], by: str
) -> tuple[Group, ...]:
    """Return the runs in groups, each labelled by what tells it from the others.

    Args:
        fields: Of each run, its spec's fields as texts; one left out is unset.
        by: A field, or `BY_SETTINGS`.
    """
    differing = [by]
    if by == BY_SETTINGS:
        paths = sorted({path for run_id in run_ids for path in fields.get(run_id, {})})
        differing = [
            path
            for path in paths
            if path not in NOT_GROUPED
            and len({fields.get(run_id, {}).get(path, "") for run_id in run_ids}) > 1
        ]
    groups: dict[tuple[str, ...], list[int]] = {}
    for run_id in run_ids:
        key = tuple(fields.get(run_id, {}).get(path, "") for path in differing)
        groups.setdefault(key, []).append(run_id)
    labels = [_label(differing, key) for key in groups]
    return tuple(
        Group(label if labels.count(label) == 1 else f"{label} ({number})", tuple(members))
        for number, (label, members) in enumerate(zip(labels, groups.values(), strict=True), 1)
    )


def group_curve(runs: Sequence[tuple[NDArray[Any], NDArray[Any]]], band: Band) -> GroupCurve:
    """Return mean and band of several runs' curves.

    Runs that were recorded at the same places are averaged there. Others are read off between
    their points on a common grid, but never before a run's first point, after its last one, or
    across a gap: there it does not count.

    Args:
        runs: (x, y) columns of each; x never falls.
        band: `minmax` is from the least to the greatest run, `sd` is one standard deviation of
            the runs (n − 1) on either side, of no width where there is only one.
    """
    import numpy as np

    grid = _grid([xs for xs, _ in runs])
    count = np.zeros(len(grid))
    total, squares = np.zeros(len(grid)), np.zeros(len(grid))
    low, high = np.full(len(grid), np.inf), np.full(len(grid), -np.inf)
    columns = [_read_off(grid, xs, ys) for xs, ys in runs]
    for values in columns:
        known = np.isfinite(values)
        count += known
        total[known] += values[known]
        low[known] = np.minimum(low[known], values[known])
        high[known] = np.maximum(high[known], values[known])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        if band == "sd":
            for values in columns:
                known = np.isfinite(values)
                squares[known] += (values[known] - mean[known]) ** 2
            spread = np.sqrt(squares / np.maximum(count - 1, 1))
            low, high = mean - spread, mean + spread
    nobody = count == 0
    low[nobody] = high[nobody] = np.nan
    return GroupCurve(grid, mean, low, high, count)


def _grid(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    import numpy as np

    longest = max((len(column) for column in columns), default=0)
    places: NDArray[Any] = np.unique(np.concatenate([*columns, np.empty(0)]))
    if len(places) <= 2 * longest:
        return places
    even: NDArray[Any] = np.linspace(places[0], places[-1], min(longest, GRID_LIMIT))
    return even


def _read_off(grid: NDArray[Any], xs: NDArray[Any], ys: NDArray[Any]) -> NDArray[Any]:
    """Return a curve's values on the grid; NaN where it has none."""
    import numpy as np

    if not len(xs):
        return np.full(len(grid), np.nan)
    values = np.where(np.isfinite(ys), ys, np.nan)
    found: NDArray[Any] = np.interp(grid, xs, values, left=np.nan, right=np.nan)
    at = np.minimum(np.searchsorted(xs, grid), len(xs) - 1)
    is_there = xs[at] == grid  # exactly so, whatever the next point is
    found[is_there] = values[at[is_there]]
    return found


def _label(paths: Sequence[str], values: Sequence[str]) -> str:
    if not paths:
        return "all settings alike"
    parts = [f"{path} = {value or 'unset'}" for path, value in zip(paths, values, strict=True)]
    if len(parts) > LABEL_FIELDS:
        return f"{', '.join(parts[:LABEL_FIELDS])} and {len(parts) - LABEL_FIELDS} more"
    return ", ".join(parts)
