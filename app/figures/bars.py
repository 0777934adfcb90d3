"""Bars: where a run's seconds went, and how many images a class has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.figures.style import (
    COLOURS,
    PHASE_COLOURS,
    Figure,
    axis,
    empty_figure,
    escape,
    layout,
    named_ticks,
)

PHASES = ("data", "compute", "validation", "checkpoint")
PHASE_LABELS = {
    "data": "reading data",
    "compute": "computing",
    "validation": "validating",
    "checkpoint": "saving checkpoints",
    "other": "everything else",
}


@dataclass(frozen=True)
class WallClockInfo:
    """Seconds by phase of several runs."""

    labels: tuple[str, ...]
    seconds: Mapping[str, tuple[float, ...]]
    """Phase → one value a run."""


def wall_clock_info(
    runs: Sequence[tuple[str, Mapping[str, float], float | None]],
) -> WallClockInfo:
    """Return the phases of each (label, seconds by phase, elapsed seconds).

    What the phases leave of the elapsed seconds (building the network, caching features) is
    `other`; a fraction of a second of it is rounding and left out.
    """
    columns: dict[str, list[float]] = {phase: [] for phase in (*PHASES, "other")}
    for _, seconds, elapsed_s in runs:
        for phase in PHASES:
            columns[phase].append(round(float(seconds.get(phase, 0.0)), 3))
        named = sum(float(seconds.get(phase, 0.0)) for phase in PHASES)
        rest = max(0.0, (elapsed_s or named) - named)
        columns["other"].append(round(rest, 3) if rest >= 0.05 else 0.0)
    return WallClockInfo(
        tuple(label for label, _, _ in runs),
        {phase: tuple(values) for phase, values in columns.items()},
    )


def wall_clock_figure(info: WallClockInfo) -> Figure:
    """Return one stacked bar a run."""
    if not any(sum(values) for values in info.seconds.values()):
        return empty_figure("Wall clock", "No seconds recorded yet.")
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": PHASE_LABELS[phase],
                "y": list(range(len(info.labels))),
                "x": list(values),
                "marker": {"color": PHASE_COLOURS[phase]},
                "hovertemplate": "%{x:.1f} s",
            }
            for phase, values in info.seconds.items()
            if any(values)
        ],
        "layout": layout(
            "Wall clock by phase",
            axis("Training seconds"),
            axis("", **named_ticks(info.labels, 24), autorange="reversed"),
            barmode="stack",
            hovermode="y unified",
        ),
    }


def class_counts_figure(classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    """Return grouped bars: images per class, one colour a split."""
    if not classes or not counts:
        return empty_figure("Images per class", "Nothing counted yet.")
    return {
        "data": [
            {
                "type": "bar",
                "name": escape(split),
                "x": list(range(len(classes))),
                "y": list(numbers),
                "marker": {"color": COLOURS[index % len(COLOURS)]},
                "hovertemplate": "%{y} images",
            }
            for index, (split, numbers) in enumerate(counts.items())
        ],
        "layout": layout(
            "Images per class", axis("", **named_ticks(classes)), axis("Images"), barmode="group"
        ),
    }


def short_sides_figure(bins: Sequence[Sequence[int]]) -> Figure:
    """Return bars: images by their shorter side.

    Args:
        bins: From, up to (0: without end) so many pixels, and how many images.
    """
    if not bins:
        return empty_figure("Images by their shorter side", "Nobody measured them.")
    spans = [f"{low} to {high - 1} px" if high else f"{low} px and more" for low, high, _ in bins]
    return {
        "data": [
            {
                "type": "bar",
                "name": "images",
                "x": list(range(len(bins))),
                "y": [count for _, _, count in bins],
                "text": spans,
                "textposition": "none",
                "marker": {"color": COLOURS[0]},
                "hovertemplate": "%{text}: %{y} images<extra></extra>",
            }
        ],
        "layout": layout(
            "Images by their shorter side",
            axis("Pixels, at least", **named_ticks([str(low) for low, _, _ in bins])),
            axis("Images"),
            showlegend=False,
            hovermode="closest",
        ),
    }
