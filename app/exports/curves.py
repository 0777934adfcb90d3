"""Figures of curves that hold their own points, for a file that nobody can ask for more."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from app.compare_curves import Question, curves_payload
from app.figures.families import Family
from app.figures.packed import XAxis
from app.figures.style import Figure, axis, empty_figure, escape, layout, run_style
from store.database import Store

X_TITLES: Mapping[XAxis, str] = {
    "epoch": "Epoch",
    "step": "Training step",
    "seconds": "Seconds of training",
    "wall": "Seconds since the run began, with pauses",
}
_POINT_BYTES = 4


def curve_figures(
    store: Store,
    labels: Mapping[int, str],
    families: Sequence[Family],
    x: XAxis = "epoch",
    *,
    is_log: bool = False,
) -> list[Figure]:
    """Return a figure for each metric, the validation solid and the training dashed.

    Args:
        labels: Of the runs to draw, by id.
    """
    names = tuple(dict.fromkeys(name for family in families for name in family.series))
    if not labels or not names:
        return [empty_figure(family.title, "Nothing was recorded.") for family in families]
    payload = curves_payload(store, Question(tuple(labels), names, x))
    traces = dict(zip(_keys(payload), _columns(payload), strict=True))
    return [_figure(family, traces, labels, payload, is_log) for family in families]


def _keys(payload: Mapping[str, Any]) -> list[tuple[int, str]]:
    return [(curve["run"], curve["metric"]) for curve in payload["curves"]]


def _columns(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return x and y of each curve as Plotly takes packed columns."""
    whole = {name: b64decode(text) for name, text in payload["columns"].items()}
    found, start = [], 0
    for curve in payload["curves"]:
        end = start + curve["points"] * _POINT_BYTES
        found.append(
            {
                name: {"dtype": "f4", "bdata": b64encode(column[start:end]).decode()}
                for name, column in whole.items()
            }
        )
        start = end
    return found


def _figure(
    family: Family,
    columns: Mapping[tuple[int, str], dict[str, Any]],
    labels: Mapping[int, str],
    payload: Mapping[str, Any],
    is_log: bool,
) -> Figure:
    traces = [
        _trace(label, run_id, columns[run_id, name], is_dashed=name == family.train)
        for run_id, label in labels.items()
        for name in family.series
        if (run_id, name) in columns
    ]
    if not traces:
        return empty_figure(family.title, "Nothing was recorded.")
    both = family.train is not None and family.validation is not None
    title = family.title + (" (solid: validation, dashed: training)" if both else "")
    longest = payload["sampled_from"]
    note = f"; at most {payload['points_per_curve']} of {longest} points" if longest else ""
    return {
        "data": traces,
        "layout": layout(
            title,
            axis(X_TITLES[payload["x"]] + note),
            axis(
                family.title,
                type="log" if is_log else "linear",
                tickformat=".0%" if family.is_percent and not is_log else "",
            ),
            hovermode="closest",
        ),
    }


def _trace(label: str, run_id: int, columns: dict[str, Any], *, is_dashed: bool) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escape(label),
        "legendgroup": str(run_id),
        "showlegend": not is_dashed,
        "line": {
            "color": run_style(run_id).colour,
            "dash": "dash" if is_dashed else "solid",
            "width": 1 if is_dashed else 2,
        },
        **columns,
    }
