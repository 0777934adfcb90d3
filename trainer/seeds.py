"""Randomness is derived, never carried: each use asks for the seed of its own name.

So order and augmentation depend on (seed, epoch, sample) alone, whatever loaders, caches and
attempts there are, and a checkpoint needs no generator's state.
"""

from __future__ import annotations

import hashlib
import random

import torch


def derive(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) made from `parts`; the same on every machine and version."""
    text = "\x1f".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def sample_random(seed: int, epoch: int, sample: str) -> random.Random:
    """Return the generator of one sample's augmentation in one epoch."""
    return random.Random(derive(seed, "augmentation", epoch, sample))  # noqa: S311 (no secret)


def epoch_order(seed: int, epoch: int, samples: int) -> list[int]:
    """Return the indices 0 … `samples` - 1 in the order of one epoch."""
    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    order: list[int] = torch.randperm(samples, generator=generator).tolist()
    return order
