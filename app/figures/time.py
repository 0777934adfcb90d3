"""What accuracy costs: accuracy against training seconds, and the best within some minutes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.figures.style import (
    Figure,
    axis,
    empty_figure,
    escape,
    finite,
    layout,
    run_style,
    shortened,
)

NAMED_POINTS_LIMIT = 12  # more names beside points cover one another


@dataclass(frozen=True)
class Cost:
    """What a run reached, and what it took."""

    run_id: int
    label: str
    seconds: float
    accuracy: float


@dataclass(frozen=True)
class Reached:
    """The best that a run had reached by some time."""

    run_id: int
    accuracy: float
    seconds: float
    """When it had."""


def pareto_front(costs: Iterable[Cost]) -> tuple[Cost, ...]:
    """Return the runs that no other one beats: as fast and more accurate, or faster and as good.

    Fastest first. Of runs that are equal in both, the first one is named.
    """
    front: list[Cost] = []
    for cost in sorted(costs, key=lambda one: (one.seconds, -one.accuracy)):
        if not front or cost.accuracy > front[-1].accuracy:
            front.append(cost)
    return tuple(front)


def best_within(
    run_id: int, elapsed_s: Sequence[float], accuracy: Sequence[float], limit_s: float
) -> Reached | None:
    """Return the best accuracy a run had by `limit_s`; None where it had none by then.

    Args:
        elapsed_s: Training seconds of each point, never falling.
        accuracy: As long; what is not finite is no value.
    """
    known = [
        (value, -seconds)
        for seconds, value in zip(
            elapsed_s[: bisect_right(elapsed_s, limit_s)], accuracy, strict=False
        )
        if finite(value) is not None
    ]
    if not known:
        return None
    value, negative_s = max(known)
    return Reached(run_id, value, -negative_s)


def cost_figure(costs: Sequence[Cost], what: str) -> Figure:
    """Return accuracy against seconds, a point a run, with the front as steps.

    Args:
        what: Which accuracy it is, for the axis.
    """
    title = "Accuracy against training seconds"
    if not costs:
        return empty_figure(title, "No run has both an accuracy and its seconds yet.")
    front = pareto_front(costs)
    slowest = max(cost.seconds for cost in costs)
    steps = [*((cost.seconds, cost.accuracy) for cost in front), (slowest, front[-1].accuracy)]
    looks = [run_style(cost.run_id) for cost in costs]
    is_named = len(costs) <= NAMED_POINTS_LIMIT
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Pareto front",
                "x": [seconds for seconds, _ in steps],
                "y": [accuracy for _, accuracy in steps],
                "line": {"shape": "hv", "dash": "dot", "width": 1.5, "color": "#7d8794"},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "markers+text" if is_named else "markers",
                "name": "runs",
                "x": [cost.seconds for cost in costs],
                "y": [cost.accuracy for cost in costs],
                "text": [escape(shortened(cost.label, 22)) for cost in costs],
                "customdata": [escape(cost.label) for cost in costs],
                "textposition": [
                    "top left" if 2 * cost.seconds > slowest else "top right" for cost in costs
                ],
                "cliponaxis": False,
                "marker": {
                    "size": 10,
                    "color": [look.colour for look in looks],
                    "symbol": [look.symbol for look in looks],
                },
                "hovertemplate": "%{customdata}<br>%{y:.2%} after %{x:.1f} s<extra></extra>",
                "showlegend": False,
            },
        ],
        "layout": layout(
            title,
            axis("Training seconds, standalone", rangemode="tozero"),
            axis(what, tickformat=".1%"),
            hovermode="closest",
        ),
    }
