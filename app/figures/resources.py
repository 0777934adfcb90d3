"""What a run's trainer used over time, of the machine and of its GPU, as small charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.figures.style import Figure, axis, layout
from store.resources import Sample

GIB = 1024**3
GAP_FACTOR = 6  # a pause so many times as long as usual is shown as a gap


@dataclass(frozen=True)
class Chart:
    """One of the small charts."""

    name: str
    title: str
    unit: str
    value: Callable[[Sample], float | None]


CHARTS = (
    Chart("cpu_percent", "Processor", "% of a core", lambda one: one.cpu_percent),
    Chart("memory_bytes", "Memory", "GiB", lambda one: _gib(one.memory_bytes)),
    Chart("gpu_percent", "GPU", "% of the time", lambda one: one.gpu_percent),
    Chart("gpu_memory_bytes", "GPU memory", "GiB", lambda one: _gib(one.gpu_memory_bytes)),
)


def resource_figures(
    samples: Sequence[Sample], origin: float, colour: str
) -> dict[str, tuple[str, Figure]]:
    """Return title and figure of what was measured, by name; time in minutes.

    Args:
        origin: Unix seconds at which the run began.
        colour: Of the run.
    """
    shown = [
        chart
        for chart in CHARTS
        if any(chart.value(one) is not None for one in samples) or chart in CHARTS[:2]
    ]
    return {chart.name: (chart.title, _figure(chart, samples, origin, colour)) for chart in shown}


def _figure(chart: Chart, samples: Sequence[Sample], origin: float, colour: str) -> Figure:
    x: list[float] = []
    y: list[float | None] = []
    for place, one in enumerate(samples):
        minutes = round((one.time - origin) / 60, 3)
        if place >= 2 and one.time - samples[place - 1].time > GAP_FACTOR * max(
            2.0, samples[place - 1].time - samples[place - 2].time
        ):
            x.append(minutes)
            y.append(None)
        x.append(minutes)
        value = chart.value(one)
        y.append(None if value is None else round(value, 3))
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": chart.title,
                "x": x,
                "y": y,
                "line": {"color": colour, "width": 1.5},
                "meta": {"resource": chart.name},
                "hovertemplate": f"%{{y:.3~g}} {chart.unit}<extra></extra>",
            }
        ],
        "layout": layout(
            f"{chart.title} ({chart.unit})",
            axis("Minutes since it began"),
            axis("", rangemode="tozero"),
            showlegend=False,
            margin={"l": 44, "r": 8, "t": 36, "b": 44},
        ),
    }


def _gib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / GIB
