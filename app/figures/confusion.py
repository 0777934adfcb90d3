"""Confusion matrices as heat maps, counts or each row's shares, and the difference of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.figures.style import (
    CONFUSION_SCALE,
    DIFFERENCE_SCALE,
    Figure,
    axis,
    empty_figure,
    escape,
    layout,
    named_ticks,
)

Cells = Literal["counts", "rows"]
LABELLED_CELLS_LIMIT = 16  # classes; beyond, numbers in cells cannot be read
NAMED_CLASSES_LIMIT = 40  # classes; beyond, their names at the axes cannot be read


@dataclass(frozen=True)
class ConfusionInfo:
    """One matrix and how it is to be shown."""

    title: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """[C][C]; the row is the true class, the column the predicted one."""
    cells: Cells
    maximum: float
    """Top of the colour scale; equal in matrices that stand side by side."""


def confusion_values(
    counts: Sequence[Sequence[int]], cells: Cells
) -> tuple[tuple[float, ...], ...]:
    """Return the counts, or each row divided by its sum; an empty row stays at 0."""
    if cells == "counts":
        return tuple(tuple(float(cell) for cell in row) for row in counts)
    return tuple(tuple(cell / max(sum(row), 1) for cell in row) for row in counts)


def confusion_infos(
    matrices: Sequence[tuple[str, Sequence[str], Sequence[Sequence[int]]]], cells: Cells
) -> list[ConfusionInfo]:
    """Return one info for each (title, classes, counts), all on one colour scale."""
    if cells == "rows":
        top = 1.0
    else:
        top = float(
            max((cell for _, _, counts in matrices for row in counts for cell in row), default=1)
        )
    return [
        ConfusionInfo(
            title, tuple(classes), tuple(tuple(row) for row in counts), cells, max(top, 1.0)
        )
        for title, classes, counts in matrices
    ]


def confusion_figure(info: ConfusionInfo) -> Figure:
    """Return the heat map, true classes from the top down."""
    if not info.counts:
        return empty_figure(info.title, "Not evaluated yet.")
    size = len(info.classes)
    names = [escape(name) for name in info.classes]
    shares = confusion_values(info.counts, "rows")
    values = confusion_values(info.counts, info.cells)
    cells = [
        [(info.counts[true][predicted], shares[true][predicted]) for predicted in range(size)]
        for true in range(size)
    ]
    return {
        "data": [
            {
                "type": "heatmap",
                "x": list(range(size)),
                "y": list(range(size)),
                "z": [list(row) for row in values],
                "text": [[_cell(*cell, info.cells) for cell in row] for row in cells],
                "customdata": [
                    [[*cell, names[true], names[predicted]] for predicted, cell in enumerate(row)]
                    for true, row in enumerate(cells)
                ],
                "texttemplate": "%{text}" if size <= LABELLED_CELLS_LIMIT else "",
                "zmin": 0,
                "zmax": info.maximum,
                "colorscale": [list(stop) for stop in CONFUSION_SCALE],
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
                "hovertemplate": "true %{customdata[2]}<br>predicted %{customdata[3]}<br>"
                "%{customdata[0]} images, %{customdata[1]:.1%} of the class<extra></extra>",
            }
        ],
        "layout": _matrix_layout(info.title, info.classes),
    }


def difference_figure(
    title: str,
    classes: Sequence[str],
    first: Sequence[Sequence[int]],
    second: Sequence[Sequence[int]],
    cells: Cells,
) -> Figure:
    """Return the heat map of the second matrix less the first, on a scale with 0 in the middle."""
    size = len(classes)
    names = [escape(name) for name in classes]
    before, after = confusion_values(first, cells), confusion_values(second, cells)
    change = [
        [b - a for a, b in zip(*rows, strict=True)] for rows in zip(before, after, strict=True)
    ]
    reach = max((abs(cell) for row in change for cell in row), default=0.0) or 1.0
    return {
        "data": [
            {
                "type": "heatmap",
                "x": list(range(size)),
                "y": list(range(size)),
                "z": change,
                "text": [[_change(cell, cells) for cell in row] for row in change],
                "customdata": [
                    [
                        [first[true][predicted], second[true][predicted], names[true], name]
                        for predicted, name in enumerate(names)
                    ]
                    for true in range(size)
                ],
                "texttemplate": "%{text}" if size <= LABELLED_CELLS_LIMIT else "",
                "zmin": -reach,
                "zmax": reach,
                "colorscale": [list(stop) for stop in DIFFERENCE_SCALE],
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
                "hovertemplate": "true %{customdata[2]}<br>predicted %{customdata[3]}<br>"
                "%{customdata[0]} images before, %{customdata[1]} after<extra></extra>",
            }
        ],
        "layout": _matrix_layout(title, classes),
    }


@dataclass(frozen=True)
class Confused:
    """A class that is taken for another, and how often by each of some runs."""

    true: int
    predicted: int
    counts: tuple[int, ...]
    """Images, one a run."""


def confused_pairs(matrices: Sequence[Sequence[Sequence[int]]], limit: int) -> list[Confused]:
    """Return the pairs of classes that are confused most, by the run that does so most.

    Args:
        matrices: Of runs with the same classes.
    """
    size = len(matrices[0]) if matrices else 0
    found = [
        Confused(true, predicted, tuple(counts[true][predicted] for counts in matrices))
        for true in range(size)
        for predicted in range(size)
        if true != predicted and any(counts[true][predicted] for counts in matrices)
    ]
    found.sort(key=lambda one: (-max(one.counts), -sum(one.counts)))
    return found[:limit]


def _matrix_layout(title: str, classes: Sequence[str]) -> Figure:
    size = len(classes)
    ticks = {
        **named_ticks(classes),
        "showgrid": False,
        "range": [-0.5, size - 0.5],
        # Names that lie over each other cannot be read; hovering tells them, and the tables do.
        "showticklabels": size <= NAMED_CLASSES_LIMIT,
    }
    return layout(
        title,
        axis("Predicted", **ticks, constrain="domain"),
        axis("True", **{**ticks, "range": [size - 0.5, -0.5]}, scaleanchor="x", constrain="domain"),
        hovermode="closest",
        margin={"l": 60, "r": 8, "t": 40, "b": 50},
    )


def _change(change: float, cells: Cells) -> str:
    if abs(change) < 0.0005:
        return ""
    text = f"{change:+.0f}" if cells == "counts" else f"{change:+.0%}"
    return text.replace("-", "−")


def _cell(count: int, share: float, cells: Cells) -> str:
    if count == 0:
        return ""
    return str(count) if cells == "counts" else f"{share:.0%}"
