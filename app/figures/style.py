"""How figures look: a run's colour and marker, finite numbers, empty figures, common layout."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Figure = dict[str, Any]

# Each has a contrast of at least 3 to 1 with the page in light and in dark (a test computes it).
# Hues that a colour-blind reader confuses differ in the marker below.
COLOURS = (
    "#1f78d1",
    "#e0571b",
    "#0b9a6d",
    "#c95a9c",
    "#a37c00",
    "#8566e0",
    "#1295b8",
    "#7d8794",
)
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "x",
    "star",
    "triangle-down",
    "pentagon",
)
MARKED_POINTS_LIMIT = 60  # more markers on a line hide it

PHASE_COLOURS = {
    "data": "#a37c00",
    "compute": "#1f78d1",
    "validation": "#0b9a6d",
    "checkpoint": "#8566e0",
    "other": "#7d8794",
}
# A single hue from nothing up, shared by every confusion matrix. It ends before it is opaque, so
# that the page's own ink, dark or light, stays readable in every cell.
CONFUSION_SCALE = (
    (0.0, "rgba(31,120,209,0.04)"),
    (0.25, "rgba(31,120,209,0.22)"),
    (0.5, "rgba(31,120,209,0.40)"),
    (0.75, "rgba(31,120,209,0.56)"),
    (1.0, "rgba(31,120,209,0.72)"),
)

# Orange for less, blue for more, nothing in the middle: told apart by colour-blind readers too.
DIFFERENCE_SCALE = (
    (0.0, "rgba(224,87,27,0.72)"),
    (0.25, "rgba(224,87,27,0.40)"),
    (0.5, "rgba(125,135,148,0.04)"),
    (0.75, "rgba(31,120,209,0.40)"),
    (1.0, "rgba(31,120,209,0.72)"),
)


@dataclass(frozen=True)
class RunStyle:
    """What tells a run from others in every figure."""

    colour: str
    symbol: str


def run_style(run_id: int) -> RunStyle:
    """Return the look of a run, which depends on its id alone, so that it survives filtering.

    The two lists have lengths without a common factor: 72 runs go by before a look repeats.
    """
    return RunStyle(COLOURS[(run_id - 1) % len(COLOURS)], SYMBOLS[(run_id - 1) % len(SYMBOLS)])


def finite(value: float | None) -> float | None:
    """Return `value`, or None where JSON could not hold it."""
    return None if value is None or not math.isfinite(value) else value


def finites(values: Iterable[float | None], digits: int | None = None) -> list[float | None]:
    """Return the values with None for each that is not finite, rounded where `digits` is given."""
    found = (finite(value) for value in values)
    if digits is None:
        return list(found)
    return [None if value is None else round(value, digits) for value in found]


def axis(title: str, **extra: Any) -> dict[str, Any]:
    """Return an axis with the house's looks."""
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "zeroline": False,
        **extra,
    }


def layout(title: str, x: dict[str, Any], y: dict[str, Any], **extra: Any) -> dict[str, Any]:
    """Return a transparent layout that leaves fonts and colours of lines to the page."""
    return {
        "title": {
            "text": escape(title),
            "xref": "container",
            "x": 0,
            "pad": {"l": 8},
            "yref": "container",
            "y": 0.97,
            "yanchor": "top",
            "font": {"size": 14},
        },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 52, "r": 12, "t": 40, "b": 64},
        "xaxis": x,
        "yaxis": y,
        "hovermode": "x unified",
        "hoverlabel": {"namelength": 40},
        "legend": {
            "orientation": "h",
            "x": 0,
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "itemwidth": 30,
        },
        "uirevision": "keep",
        **extra,
    }


def empty_figure(title: str, message: str) -> Figure:
    """Return a figure that says why there is nothing to see."""
    hidden = {"visible": False}
    return {
        "data": [],
        "layout": {
            **layout(title, dict(hidden), dict(hidden)),
            "annotations": [
                {
                    "text": escape(message),
                    "showarrow": False,
                    "xref": "paper",
                    "yref": "paper",
                    "x": 0.5,
                    "y": 0.5,
                }
            ],
        },
    }


def escape(text: str) -> str:
    """Return `text` so that Plotly's small HTML shows it as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str, limit: int = 32) -> str:
    """Return `text` cut in the middle where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[-(limit - 1 - head) :]}"


def distinct_labels(names: Sequence[tuple[int, str]]) -> dict[int, str]:
    """Return a short label for each (run id, name); labels that would be equal get a number."""
    counts = Counter(shortened(name) for _, name in names)
    return {
        run_id: shortened(name)
        if counts[shortened(name)] == 1
        else f"{shortened(name, 26)} #{run_id}"
        for run_id, name in names
    }


def named_ticks(names: Sequence[str], limit: int = 18) -> dict[str, Any]:
    """Return an axis's ticks at 0, 1, … that show `names`, which may be equal once shortened."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [escape(shortened(name, limit)) for name in names],
    }
