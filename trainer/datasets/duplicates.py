"""Images that a dataset holds more than once: the same pixels, or nearly the same picture.

Exact duplicates have the same decoded pixels, whatever their files are called or compressed with.
Near ones are found in two looks. The first is a perceptual hash: the signs of the low frequencies
of a small grey version, against their median (the idea is Neal Krawetz's "Looks Like It", 2011);
images whose hashes differ in few bits are candidates. The second compares small colour versions,
because many pictures share a hash: a plane in a blue sky is not another plane in a blue sky.
numpy is imported here only when there is something to compare: the web process never needs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from trainer.datasets.duplicates_limits import NEAR_LIMIT, SMALLEST_PX
from trainer.datasets.manifest import Group

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE_PX = 16
"""Of the small version of an image that is compared."""
HASH_SIDE = 8
HASH_PARTS = 6
"""Hashes are compared where one of so many parts is equal: all that differ in 5 bits or fewer."""
DISTANCE = 9
"""Most bits in which the hashes of near duplicates differ."""
DIFFERENCE = 0.25
"""Largest mean difference of the small versions, in their standard deviations, their means taken
away: a copy may be a little brighter. Measured on the 397 ants and bees: copies of half the size,
of JPEG quality 30, squeezed to 224 px or 10 % brighter differ by at most 0.114 and 6 bits; the two
most alike of different photos by 0.31. In CIFAR-10 pairs at 0.27 still are the same picture."""
CONTRAST = 8.0
"""Least standard deviation of a small version's grey; flatter images are compared exactly only."""
PAIRS_AT_ONCE = 32_768

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Look:
    """What is kept of an image to compare it with others."""

    digest: str
    """Of its size and pixels."""
    small: bytes | None
    """`SIDE_PX` × `SIDE_PX` RGB; None where it is too small to be compared but exactly."""


def look_at(image: Image.Image) -> Look:
    """Return what is kept of a decoded image in RGB."""
    digest = hashlib.blake2b(f"{image.width}x{image.height}:".encode(), digest_size=16)
    digest.update(image.tobytes())
    small = None
    if min(image.size) >= SMALLEST_PX:
        small = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX).tobytes()
    return Look(digest.hexdigest(), small)


def find_groups(looks: Mapping[str, Look], report: Report | None = None) -> tuple[Group, ...]:
    """Return the groups of duplicates among images by path, in the order of their first paths.

    Who is in a group need not be near everyone else in it: near is passed on.
    """
    paths = sorted(looks)
    leaders = _Leaders(len(paths))
    first: dict[str, int] = {}
    for index, path in enumerate(paths):
        leaders.join(first.setdefault(looks[path].digest, index), index)
    # Of images with equal pixels one stands for all.
    seen = [index for index in first.values() if looks[paths[index]].small is not None]
    if len(seen) <= NEAR_LIMIT:
        for one, other in _near_pairs([looks[paths[index]].small or b"" for index in seen], report):
            leaders.join(seen[one], seen[other])
    members: dict[int, list[str]] = {}
    for index, path in enumerate(paths):
        members.setdefault(leaders.of(index), []).append(path)
    return tuple(
        Group(len({looks[path].digest for path in found}) == 1, tuple(found))
        for found in members.values()
        if len(found) > 1
    )


def _near_pairs(smalls: Sequence[bytes], report: Report | None) -> list[tuple[int, int]]:
    """Return pairs of places whose small versions are nearly the same."""
    if len(smalls) < 2:
        return []
    import numpy as np

    colours = np.frombuffer(b"".join(smalls), np.uint8).reshape(len(smalls), -1)
    hashes, contrast = _hashes(colours)
    kept = np.flatnonzero(contrast >= CONTRAST)
    found: set[tuple[int, int]] = set()
    for part in range(HASH_PARTS):
        bits = np.arange(part, 64, HASH_PARTS, dtype=np.uint64)
        mask = np.bitwise_or.reduce(np.uint64(1) << bits)
        for places, others in _equal_pairs(hashes[kept] & mask):
            one, other = kept[places], kept[others]
            close = np.bitwise_count(hashes[one] ^ hashes[other]) <= DISTANCE
            one, other = one[close], other[close]
            for start in range(0, len(one), PAIRS_AT_ONCE):
                a, b = one[start : start + PAIRS_AT_ONCE], other[start : start + PAIRS_AT_ONCE]
                apart = np.abs(_standard(colours[a]) - _standard(colours[b])).mean(axis=1)
                same = apart <= DIFFERENCE
                found.update(zip(a[same].tolist(), b[same].tolist(), strict=True))
        if report:
            report({"phase": "compare", "done": part + 1, "total": HASH_PARTS})
    return sorted(found)


def _standard(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return small versions with mean 0 and standard deviation 1 each."""
    import numpy as np

    values = colours.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values /= values.std(axis=1, keepdims=True)
    return values


def _hashes(colours: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Return a 64-bit hash of each small version, and how much its grey values vary."""
    import numpy as np

    hashes, contrast = [], []
    places = np.arange(SIDE_PX)
    waves = np.cos(np.pi / SIDE_PX * (places[None, :] + 0.5) * places[:, None])[:HASH_SIDE]
    weights = np.uint64(1) << np.arange(64, dtype=np.uint64)
    for start in range(0, len(colours), 4_096):
        part = colours[start : start + 4_096].reshape(-1, SIDE_PX, SIDE_PX, 3)
        grey = part @ np.array([0.299, 0.587, 0.114])
        low = (waves @ grey @ waves.T).reshape(len(part), -1)
        bits = low > np.median(low, axis=1, keepdims=True)
        hashes.append((bits * weights).sum(axis=1, dtype=np.uint64))
        contrast.append(grey.std(axis=(1, 2)))
    return np.concatenate(hashes), np.concatenate(contrast)


def _equal_pairs(
    keys: NDArray[np.uint64],
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield every pair of places with equal keys, many at a time."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    alive, step = np.arange(len(keys)), 1
    while alive.size:
        alive = alive[: np.searchsorted(alive, len(keys) - step)]
        alive = alive[ranked[alive] == ranked[alive + step]]
        yield order[alive], order[alive + step]
        step += 1


class _Leaders:
    """Which of so many things belong together."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def of(self, index: int) -> int:
        """Return the first of those that one belongs to."""
        while self._above[index] != index:
            self._above[index] = self._above[self._above[index]]
            index = self._above[index]
        return index

    def join(self, one: int, other: int) -> None:
        """Put two, and all that belong to them, together."""
        low, high = sorted((self.of(one), self.of(other)))
        self._above[high] = low
