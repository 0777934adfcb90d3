"""Curves of metrics over epochs, steps or seconds."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.figures.style import (
    MARKED_POINTS_LIMIT,
    Figure,
    axis,
    empty_figure,
    escape,
    finites,
    layout,
    run_style,
)
from app.sampling import kept_indices
from store.rows import SeriesPoints

XAxis = Literal["epoch", "step", "seconds"]
X_TITLES: dict[XAxis, str] = {"epoch": "Epoch", "step": "Step", "seconds": "Training seconds"}


@dataclass(frozen=True)
class CurveStyle:
    """One kind of series in a figure: how it is called and drawn."""

    series: str
    label: str
    dash: Literal["solid", "dash", "dot"] = "solid"
    second_axis: bool = False


@dataclass(frozen=True)
class Curve:
    """One line: a series of a run."""

    run_id: int
    run_name: str
    style: CurveStyle
    steps: tuple[int, ...]
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True)
class CurveInfo:
    """What one figure of curves shows."""

    title: str
    y_title: str
    x: XAxis
    curves: tuple[Curve, ...]
    percent: bool = False
    second_y_title: str = ""
    sampled_from: int | None = None
    """Points of the longest series before it was thinned; None where all are shown."""


ACCURACY = (
    CurveStyle("train_accuracy", "train", "dash"),
    CurveStyle("val_accuracy", "validation"),
)
LOSS = (CurveStyle("train_loss", "train", "dash"), CurveStyle("val_loss", "validation"))
BATCH = (
    CurveStyle("batch_loss", "batch loss"),
    CurveStyle("batch_learning_rate", "learning rate", "dot", second_axis=True),
)


def thinned(
    points: Mapping[tuple[int, str], SeriesPoints], max_points: int
) -> tuple[dict[tuple[int, str], SeriesPoints], int | None]:
    """Return the series with at most `max_points` points each, extremes of every bucket kept.

    The second value is the longest series' length where any was thinned, else None.
    """
    longest = max((len(series) for series in points.values()), default=0)
    if longest <= max_points:
        return dict(points), None
    return {key: _kept(series, max_points) for key, series in points.items()}, longest


def curve_info(
    title: str,
    y_title: str,
    styles: Sequence[CurveStyle],
    runs: Sequence[tuple[int, str]],
    points: Mapping[tuple[int, str], SeriesPoints],
    x: XAxis = "epoch",
    *,
    percent: bool = False,
    second_y_title: str = "",
    sampled_from: int | None = None,
) -> CurveInfo:
    """Return the curves of `runs`, (id, label) pairs, in their order; every run has its lines.

    A run without points yet keeps its empty lines, so that live points have somewhere to go.
    """
    curves = []
    for run_id, name in runs:
        for style in styles:
            found = points.get((run_id, style.series))
            curves.append(
                Curve(
                    run_id,
                    name,
                    style,
                    tuple(found.steps) if found else (),
                    tuple(_column(found, x)) if found else (),
                    tuple(found.values) if found else (),
                )
            )
    return CurveInfo(title, y_title, x, tuple(curves), percent, second_y_title, sampled_from)


def curve_figure(info: CurveInfo) -> Figure:
    """Return the lines; each trace's `meta` says which run and series to add live points to."""
    if not info.curves:
        return empty_figure(info.title, "No run chosen.")
    several = len({curve.run_id for curve in info.curves}) > 1
    title = info.title
    if info.sampled_from is not None:
        title += f" (thinned from {info.sampled_from:,} points)"
    figure_layout = layout(
        title,
        axis(X_TITLES[info.x], rangemode="tozero"),
        axis(info.y_title, **({"tickformat": ".0%"} if info.percent else {})),
    )
    if info.second_y_title:
        figure_layout["yaxis2"] = axis(
            info.second_y_title,
            overlaying="y",
            side="right",
            showgrid=False,
            rangemode="tozero",
            tickmode="auto",
        )
        figure_layout["margin"] = {**figure_layout["margin"], "r": 64}
    if not any(curve.xs for curve in info.curves):
        for name in ("xaxis", "yaxis", "yaxis2"):
            if name in figure_layout:  # the page shows them again with the first point
                figure_layout[name]["showticklabels"] = False
        figure_layout["annotations"] = [
            {
                "text": "No points recorded.",
                "name": "empty",
                "showarrow": False,
                "xref": "paper",
                "yref": "paper",
                "x": 0.5,
                "y": 0.5,
            }
        ]
    return {
        "data": [_trace(curve, info, several) for curve in info.curves],
        "layout": figure_layout,
    }


def _trace(curve: Curve, info: CurveInfo, several: bool) -> dict[str, Any]:
    look = run_style(curve.run_id)
    marked = len(curve.xs) <= MARKED_POINTS_LIMIT and not curve.style.series.startswith("batch_")
    name = curve.style.label
    if several:
        solid = curve.style.dash == "solid"
        name = curve.run_name if solid else f"{curve.run_name}, {curve.style.label}"
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if marked else "lines",
        "name": escape(name),
        "meta": {"run": curve.run_id, "series": curve.style.series, "x": info.x},
        "x": finites(curve.xs, 4),
        "y": finites(curve.ys),
        "customdata": list(curve.steps),
        "line": {"color": look.colour, "dash": curve.style.dash, "width": 2},
        "hovertemplate": "%{y:.2%}" if info.percent else "%{y:.4g}",
    }
    if marked:
        open_symbol = f"{look.symbol}-open" if curve.style.dash != "solid" else look.symbol
        trace["marker"] = {"symbol": open_symbol, "size": 6, "color": look.colour}
    if several:
        # One entry a run; it switches both of its lines.
        trace["legendgroup"] = str(curve.run_id)
        trace["showlegend"] = curve.style.dash == "solid"
    if curve.style.second_axis:
        trace["yaxis"] = "y2"
        trace["line"] = {**trace["line"], "color": "#7d8794", "width": 1.5}
    return trace


def _kept(points: SeriesPoints, max_points: int) -> SeriesPoints:
    kept = kept_indices(points.values, max_points)
    return SeriesPoints(
        array("i", [points.steps[index] for index in kept]),
        array("f", [points.epochs[index] for index in kept]),
        array("f", [points.elapsed[index] for index in kept]),
        array("d", [points.values[index] for index in kept]),
    )


def _column(points: SeriesPoints, x: XAxis) -> Sequence[float]:
    if x == "epoch":
        return points.epochs
    return points.steps if x == "step" else points.elapsed
