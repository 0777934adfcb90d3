"""The reliability diagram: accuracy by confidence beside what it would be for an honest run."""

from __future__ import annotations

from app.calibration import Calibration
from app.figures.style import Figure, axis, empty_figure, layout

TITLE = "Calibration"


def calibration_figure(found: Calibration, colour: str) -> Figure:
    """Return a bar for each bin that has images, its colour deeper the more it has.

    Args:
        colour: Of the run.
    """
    bins = [one for one in found.bins if one.images]
    if not bins:
        return empty_figure(TITLE, "No images.")
    most = max(one.images for one in bins)
    return {
        "data": [
            {
                "type": "bar",
                "name": "accuracy",
                "x": [(one.low + one.high) / 2 for one in bins],
                "y": [one.accuracy for one in bins],
                "width": [one.high - one.low for one in bins],
                "marker": {
                    "color": colour,
                    "opacity": [round(0.25 + 0.75 * one.images / most, 3) for one in bins],
                },
                "customdata": [[one.images, one.confidence, one.low, one.high] for one in bins],
                "hovertemplate": "probability %{customdata[2]:.0%} to %{customdata[3]:.0%}<br>"
                "%{customdata[0]} images<br>mean probability %{customdata[1]:.1%}<br>"
                "%{y:.1%} right<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": "as sure as right",
                "x": [0, 1],
                "y": [0, 1],
                "line": {"color": "#7d8794", "dash": "dash", "width": 1.5},
                "hoverinfo": "skip",
            },
        ],
        "layout": layout(
            TITLE,
            axis("Probability of the predicted class", range=[0, 1], tickformat=".0%"),
            axis("Share of the images right", range=[0, 1], tickformat=".0%"),
            hovermode="closest",
        ),
    }
