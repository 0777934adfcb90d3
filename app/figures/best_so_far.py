"""A study's runs in the order in which they ended, and the best result up to each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.figures.style import Figure, axis, empty_figure, escape, layout, shortened
from store.study_results import Member


@dataclass(frozen=True)
class BestSoFarInfo:
    """Columns of equal length, one a run with a result, in the order of their ends."""

    run_ids: tuple[int, ...]
    names: tuple[str, ...]
    results: tuple[float, ...]
    best: tuple[float, ...]


def best_so_far_info(members: Iterable[Member]) -> BestSoFarInfo:
    """Return the ended runs that have a result."""
    ended = sorted(
        (one for one in members if one.is_over and one.accuracy is not None),
        key=lambda one: (one.finished_at or 0.0, one.run_id),
    )
    results = tuple(one.accuracy or 0.0 for one in ended)
    best: list[float] = []
    for value in results:
        best.append(max(value, best[-1]) if best else value)
    return BestSoFarInfo(
        tuple(one.run_id for one in ended), tuple(one.name for one in ended), results, tuple(best)
    )


def best_so_far_figure(info: BestSoFarInfo) -> Figure:
    """Return a point a run and the steps of the best."""
    title = "Best so far"
    if not info.run_ids:
        return empty_figure(title, "No run has ended with a result yet.")
    x = list(range(1, len(info.run_ids) + 1))
    words = [
        f"run {run_id}, {escape(shortened(name))}"
        for run_id, name in zip(info.run_ids, info.names, strict=True)
    ]
    hover = "%{y:.2%}, %{text}<extra></extra>"
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": "Each run",
                "x": x,
                "y": list(info.results),
                "text": words,
                "hovertemplate": hover,
                "marker": {"color": "#7d8794", "size": 7},
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Best so far",
                "x": x,
                "y": list(info.best),
                "line": {"shape": "hv", "color": "#1f78d1", "width": 2},
                "hovertemplate": "best so far %{y:.2%}<extra></extra>",
            },
        ],
        "layout": layout(
            title,
            axis("Runs ended", rangemode="tozero", tickformat="d"),
            axis("Best validation accuracy", tickformat=".1%"),
        ),
    }
