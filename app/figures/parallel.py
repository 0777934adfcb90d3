"""Parallel coordinates: a line a run through the numbers that differ, coloured by a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.figures.groups import NOT_GROUPED
from app.figures.style import Figure, empty_figure, escape, layout

LOG_FROM = 50
"""How many times its least value a field's greatest must be to get a logarithmic axis."""
SCALE = (
    (0.0, "#c95a9c"),
    (0.5, "#8566e0"),
    (1.0, "#0b9a6d"),
)


@dataclass(frozen=True)
class Dimension:
    """One axis: a numeric field of the specs that is not the same in all runs."""

    path: str
    values: tuple[float, ...]
    """One a run of `ParallelInfo.run_ids`."""
    is_log: bool


@dataclass(frozen=True)
class ParallelInfo:
    """What the figure shows."""

    metric: str
    run_ids: tuple[int, ...]
    results: tuple[float, ...]
    dimensions: tuple[Dimension, ...]
    left_out: tuple[int, ...]
    """Runs without a result, or without one of the fields."""


def parallel_info(
    metric: str,
    specs: Mapping[int, Mapping[str, Any]],
    results: Mapping[int, float | None],
) -> ParallelInfo:
    """Return the fields that are numbers wherever they are set and differ between the runs.

    A field that most of the runs lack is no axis; a run that lacks an axis is left out and named.

    Args:
        metric: What the results are called.
        specs: Fields by dotted path, by run, in the runs' order.
        results: The metric of each run.
    """
    with_result = [run_id for run_id in specs if results.get(run_id) is not None]
    paths = list(dict.fromkeys(path for run_id in with_result for path in specs[run_id]))
    axes = []
    for path in paths:
        values = [specs[run_id].get(path) for run_id in with_result]
        known = [value for value in values if value is not None]
        if path in NOT_GROUPED or not all(_is_number(value) for value in known):
            continue
        if len(set(known)) > 1 and 2 * len(known) > len(values):
            axes.append(path)
    complete = [
        run_id
        for run_id in with_result
        if all(specs[run_id].get(path) is not None for path in axes)
    ]
    dimensions = tuple(
        _dimension(path, [specs[run_id][path] for run_id in complete]) for path in axes
    )
    return ParallelInfo(
        metric,
        tuple(complete),
        tuple(float(results[run_id] or 0.0) for run_id in complete),
        dimensions,
        tuple(run_id for run_id in specs if run_id not in set(complete)),
    )


def parallel_figure(info: ParallelInfo) -> Figure:
    """Return the lines; their last axis is the metric, which also colours them."""
    title = f"Settings and {info.metric[0].lower()}{info.metric[1:]}"
    if not info.dimensions or len(info.run_ids) < 2:
        return empty_figure(title, "Two runs with a result that differ in a number are needed.")
    return {
        "data": [
            {
                "type": "parcoords",
                "line": {
                    "color": list(info.results),
                    "colorscale": [list(stop) for stop in SCALE],
                    "showscale": True,
                    "colorbar": {"tickformat": ".1%", "thickness": 12},
                },
                "dimensions": [
                    *(_axis(dimension) for dimension in info.dimensions),
                    {"label": info.metric, "values": list(info.results), "tickformat": ".1%"},
                ],
                "labelangle": -12,
                "labelside": "top",
            }
        ],
        "layout": {
            **layout(title, {"visible": False}, {"visible": False}),
            "margin": {"l": 70, "r": 40, "t": 96, "b": 24},
        },
    }


def _dimension(path: str, values: Sequence[float]) -> Dimension:
    least, greatest = min(values, default=0.0), max(values, default=0.0)
    is_log = least > 0 and greatest / least >= LOG_FROM
    return Dimension(path, tuple(float(value) for value in values), is_log)


def _axis(dimension: Dimension) -> dict[str, Any]:
    label = escape(dimension.path)
    if not dimension.is_log:
        return {"label": label, "values": list(dimension.values)}
    powers = [math.log10(value) for value in dimension.values]
    shown = sorted(set(dimension.values))
    if len(shown) > 10:
        first, last = math.floor(min(powers)), math.ceil(max(powers))
        shown = [10.0**power for power in range(first, last + 1)]
    return {
        "label": label,
        "values": powers,
        "range": [min(math.log10(shown[0]), *powers), max(math.log10(shown[-1]), *powers)],
        "tickvals": [math.log10(value) for value in shown],
        "ticktext": [f"{value:g}" for value in shown],
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
