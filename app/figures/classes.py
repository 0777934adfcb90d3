"""Precision, recall and F1 of the classes: a heat map of all runs, and bars where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.figures.style import (
    CONFUSION_SCALE,
    Figure,
    axis,
    empty_figure,
    escape,
    layout,
    named_ticks,
    run_style,
)
from store.rows import EvaluationRow

Figured = Literal["f1", "recall", "precision"]
FIGURES: Mapping[Figured, str] = {"f1": "F1", "recall": "Recall", "precision": "Precision"}
BARS_LIMIT = 10  # classes
BARS_RUNS_LIMIT = 8
LABELLED_CELLS_LIMIT = 240
ROW_PX = 22


@dataclass(frozen=True)
class ClassLine:
    """One class, with each run's figure; None where a run's evaluation has none."""

    name: str
    support: int
    values: tuple[float | None, ...]

    @property
    def spread(self) -> float:
        """Largest less smallest of the known values."""
        known = [value for value in self.values if value is not None]
        return max(known) - min(known) if known else 0.0


def class_lines(rows: Sequence[EvaluationRow], figure: Figured) -> list[ClassLine]:
    """Return a line a class, those where the runs differ most first, then the lowest.

    Args:
        rows: Evaluations; classes are matched by name.
    """
    names = list(dict.fromkeys(one["name"] for row in rows for one in row.classes))
    by_name = [{one["name"]: one for one in row.classes} for row in rows]
    lines = [
        ClassLine(
            name,
            max(known[name]["support"] for known in by_name if name in known),
            tuple(known[name][figure] if name in known else None for known in by_name),
        )
        for name in names
    ]
    lines.sort(
        key=lambda line: (-line.spread, min((v for v in line.values if v is not None), default=0.0))
    )
    return lines


def classes_figure(
    lines: Sequence[ClassLine], runs: Sequence[tuple[int, str]], figure: Figured
) -> Figure:
    """Return the heat map: a row a class, a column a run.

    Args:
        runs: (id, label), in the order of the lines' values.
    """
    title = f"{FIGURES[figure]} by class"
    if not lines:
        return empty_figure(title, "Not evaluated yet.")
    is_labelled = len(lines) * len(runs) <= LABELLED_CELLS_LIMIT
    return {
        "data": [
            {
                "type": "heatmap",
                "x": list(range(len(runs))),
                "y": list(range(len(lines))),
                "z": [list(line.values) for line in lines],
                "text": [
                    ["" if value is None else f"{value:.0%}" for value in line.values]
                    for line in lines
                ],
                "customdata": [
                    [[escape(line.name), escape(label)] for _, label in runs] for line in lines
                ],
                "texttemplate": "%{text}" if is_labelled else "",
                "zmin": _floor(lines),
                "zmax": 1,
                "colorscale": [list(stop) for stop in CONFUSION_SCALE],
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
                "hovertemplate": "%{customdata[0]}<br>%{customdata[1]}<br>%{z:.1%}<extra></extra>",
            }
        ],
        "layout": layout(
            title,
            axis("", **named_ticks([label for _, label in runs], 14), showgrid=False),
            axis(
                "",
                **named_ticks([line.name for line in lines]),
                autorange="reversed",
                showgrid=False,
            ),
            hovermode="closest",
        ),
    }


def class_bars_figure(
    lines: Sequence[ClassLine], runs: Sequence[tuple[int, str]], figure: Figured
) -> Figure:
    """Return grouped bars of the classes where the runs differ most."""
    shown = [line for line in lines[:BARS_LIMIT] if line.spread > 0]
    title = f"{FIGURES[figure]} where the runs differ most"
    if not shown:
        return empty_figure(title, "The runs do not differ in any class.")
    return {
        "data": [
            {
                "type": "bar",
                "name": escape(label),
                "x": list(range(len(shown))),
                "y": [line.values[place] for line in shown],
                "marker": {"color": run_style(run_id).colour},
                "hovertemplate": "%{y:.1%}",
            }
            for place, (run_id, label) in enumerate(runs[:BARS_RUNS_LIMIT])
        ],
        "layout": layout(
            title,
            axis("", **named_ticks([line.name for line in shown])),
            axis(FIGURES[figure], tickformat=".0%", range=[0, 1]),
            barmode="group",
        ),
    }


def _floor(lines: Sequence[ClassLine]) -> float:
    """Return where the colours begin: the lowest value, down to a tenth, so that more differ."""
    known = [value for line in lines for value in line.values if value is not None]
    return min(0.9, int(min(known, default=0.0) * 10) / 10)
