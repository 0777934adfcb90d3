"""Parallel coordinates: a line a run through the numbers that differ, coloured by a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.figures.compare import CompareInfo
from app.figures.groups import NOT_GROUPED
from app.figures.style import Figure, empty_figure, escape, layout
from trainer.spec import flat_fields

LOG_FROM = 50
"""How many times its least value a field's greatest must be to get a logarithmic axis."""
SCALE = ((201, 90, 156), (133, 102, 224), (11, 154, 109))
"""Red, green and blue of the worst, the middle and the best result."""
TICKS_LIMIT = 8
"""An axis with more values than these is marked at even steps instead of at each."""


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

    @property
    def is_drawable(self) -> bool:
        """Whether there is a difference to draw."""
        return bool(self.dimensions) and len(self.run_ids) > 1


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


def compared_settings(info: CompareInfo) -> ParallelInfo:
    """Return the settings that differ between compared runs, and their best accuracy."""
    specs = {run.id: flat_fields(run.spec) for run in info.runs}
    results = {row.run_id: row.best_val_accuracy for row in info.table}
    return parallel_info("Best validation accuracy", specs, results)


def parallel_figure(info: ParallelInfo, names: Mapping[int, str]) -> Figure:
    """Return a line a run; the last axis is the metric, which also colours the lines.

    Every axis goes from 0 to 1 over its least and greatest value. Plotly's own parallel coordinates
    need WebGL and write JavaScript as they go, which the page's security policy forbids.

    Args:
        names: What a run is called, by its id.
    """
    title = f"Settings and {info.metric[0].lower()}{info.metric[1:]}"
    if not info.is_drawable:
        return empty_figure(title, "Two runs with a result that differ in a number are needed.")
    axes = [
        *(_axis(one.path, one.values, "{:g}", is_log=one.is_log) for one in info.dimensions),
        _axis(info.metric, info.results, "{:.1%}"),
    ]
    places = range(len(axes))
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": escape(names[run_id]),
                "meta": {"run": run_id},
                "x": list(places),
                "y": [one.places[line] for one in axes],
                "text": [f"{one.name} = {one.words[line]}" for one in axes],
                "hovertemplate": "%{text}",
                "line": {"color": _colour(axes[-1].places[line]), "width": 1.5},
                "showlegend": False,
            }
            for line, run_id in enumerate(info.run_ids)
        ],
        "layout": {
            **layout(
                title,
                {
                    "side": "top",
                    "range": [-0.25, len(axes) - 0.75],
                    "tickvals": list(places),
                    "ticktext": [
                        one.name.replace(".", ".<br>").replace(" ", "<br>") for one in axes
                    ],
                    "automargin": True,
                    "zeroline": False,
                    "showline": False,
                    "gridwidth": 2,
                    "fixedrange": True,
                },
                {"visible": False, "range": [-0.04, 1.04], "fixedrange": True},
            ),
            "hovermode": "closest",
            "dragmode": False,
            "margin": {"l": 16, "r": 16, "t": 92, "b": 12},
            "annotations": [
                {
                    "text": text,
                    "x": place,
                    "y": height,
                    "xanchor": "right",
                    "xshift": -4,
                    "showarrow": False,
                    "font": {"size": 11},
                }
                for place, one in enumerate(axes)
                for height, text in one.ticks
            ],
        },
    }


@dataclass(frozen=True)
class _Axis:
    name: str
    places: list[float]
    """From 0 to 1, a run each."""
    words: list[str]
    """The values, a run each."""
    ticks: list[tuple[float, str]]


def _axis(name: str, values: Sequence[float], words: str, *, is_log: bool = False) -> _Axis:
    scale = math.log10 if is_log else float
    least, greatest = scale(min(values)), scale(max(values))

    def place(value: float) -> float:
        return round((scale(value) - least) / ((greatest - least) or 1.0), 4)

    shown: Sequence[float] = sorted(set(values))
    if len(shown) > TICKS_LIMIT:
        stops = [least + (greatest - least) * number / 4 for number in range(5)]
        shown = [float(f"{10**stop if is_log else stop:.3g}") for stop in stops]
    return _Axis(
        name=escape(name),
        places=[place(value) for value in values],
        words=[words.format(value) for value in values],
        ticks=[(place(value), words.format(value)) for value in shown],
    )


def _colour(place: float) -> str:
    """Return the colour of a place between 0 and 1 on the scale."""
    half = min(int(2 * place), 1)
    share = 2 * place - half
    mixed = (round(a + (b - a) * share) for a, b in zip(*SCALE[half : half + 2], strict=True))
    return f"rgb({','.join(map(str, mixed))})"


def _dimension(path: str, values: Sequence[float]) -> Dimension:
    least, greatest = min(values, default=0.0), max(values, default=0.0)
    is_log = least > 0 and greatest / least >= LOG_FROM
    return Dimension(path, tuple(float(value) for value in values), is_log)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
