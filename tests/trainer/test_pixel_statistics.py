from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from trainer.data import MemoryBudget, Split
from trainer.datasets.manifest import load_manifest
from trainer.pixel_statistics import pixel_statistics
from trainer.transforms import IMAGENET_MEAN, IMAGENET_STD, InputFormat, normalise

FORM = InputFormat(16, 18, False, "bilinear", IMAGENET_MEAN, IMAGENET_STD)


def split_of(pictures, pool, items=slice(None)):
    manifest = load_manifest(pictures)
    chosen = manifest.splits["train"][items]
    return Split(Path(manifest.root), chosen, FORM, MemoryBudget(0), pool)


def test_images_normalised_by_their_own_statistics_have_mean_0_and_deviation_1(pictures):
    with ThreadPoolExecutor(2) as pool:
        split = split_of(pictures, pool)
        mean, std = pixel_statistics(split, 7, lambda: None)
        (batch,) = split.fixed_batches(100)
    form = InputFormat(16, 18, False, "bilinear", mean, std)
    values = normalise(batch.images, form).double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(values.mean(1), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(1, correction=0), torch.ones(3).double())


def test_batches_and_threads_change_nothing(pictures):
    found = set()
    for threads, size in ((1, 1), (4, 5), (2, 64)):
        with ThreadPoolExecutor(threads) as pool:
            found.add(pixel_statistics(split_of(pictures, pool), size, lambda: None))
    assert len(found) == 1


def test_a_channel_that_never_varies_is_only_shifted(pictures, monkeypatch):
    monkeypatch.setattr(
        "trainer.data.decode", lambda _: torch.full((3, 20, 20), 51, dtype=torch.uint8)
    )
    with ThreadPoolExecutor(1) as pool:
        mean, std = pixel_statistics(split_of(pictures, pool, slice(2)), 8, lambda: None)
    assert mean == pytest.approx((0.2, 0.2, 0.2))
    assert std == (1.0, 1.0, 1.0)
