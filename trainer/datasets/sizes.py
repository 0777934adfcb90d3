"""How large a dataset's images are: spread of the sides, common dimensions, a histogram."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.datasets.images import Probe

COMMON_SHOWN = 12
EDGES_PX = (1, 32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 512, 768, 1024, 1536, 2048, 4096)
"""Lower edges of the histogram's bins: the input sizes that networks use, then doublings."""


@dataclass(frozen=True)
class Spread:
    """Smallest, middle and largest of a side of the images, in pixels."""

    min: int
    median: int
    max: int


@dataclass(frozen=True)
class Measures:
    """What was measured of the images that can be read."""

    image_bytes: int = 0
    """Of all files together."""
    common: tuple[tuple[int, int, int], ...] = ()
    """Width, height and number of images of the most frequent dimensions, most frequent first."""
    distinct: int = 0
    """How many different dimensions there are."""
    short_sides: tuple[tuple[int, int, int], ...] = ()
    """Images by their shorter side: from and up to so many pixels (0: without end), how many."""

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Measures:
        """Return what `vars` of a `Measures` became in JSON; nothing of nothing."""
        return cls(
            image_bytes=data.get("image_bytes", 0),
            common=tuple(tuple(row) for row in data.get("common", ())),
            distinct=data.get("distinct", 0),
            short_sides=tuple(tuple(row) for row in data.get("short_sides", ())),
        )


def spreads(probes: Sequence[Probe]) -> dict[str, Spread]:
    """Return the spread of `width` and of `height`; nothing of no images."""
    if not probes:
        return {}
    sides = {"width": [p.width for p in probes], "height": [p.height for p in probes]}
    return {
        side: Spread(min(values), int(statistics.median(values)), max(values))
        for side, values in sides.items()
    }


def measures(probes: Sequence[Probe]) -> Measures:
    """Return what the images measure."""
    dimensions = Counter((probe.width, probe.height) for probe in probes)
    common = sorted(dimensions.items(), key=lambda pair: (-pair[1], pair[0]))[:COMMON_SHOWN]
    bins = Counter(bisect_right(EDGES_PX, min(p.width, p.height)) - 1 for p in probes)
    filled = range(min(bins), max(bins) + 1) if bins else range(0)
    ends = (*EDGES_PX[1:], 0)
    return Measures(
        image_bytes=sum(probe.size_bytes for probe in probes),
        common=tuple((width, height, count) for (width, height), count in common),
        distinct=len(dimensions),
        short_sides=tuple((EDGES_PX[i], ends[i], bins[i]) for i in filled),
    )
