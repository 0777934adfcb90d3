"""What a preflight warns of."""

from __future__ import annotations

import pytest

from tests.trainer.runs import spec_with
from trainer.datasets.manifest import Item, Manifest
from trainer.parsing import parse_spec
from trainer.preflight import detectable_difference, warnings_of


def test_a_small_split_tells_only_large_differences_apart() -> None:
    assert detectable_difference(153) == pytest.approx(0.05, abs=0.001)
    assert detectable_difference(10_000) < 0.01


def test_what_is_worth_a_second_thought_is_named() -> None:
    train = tuple(Item(f"{n}", int(n >= 90)) for n in range(100))
    splits = {"train": train, "val": tuple(Item(f"v{n}", 0) for n in range(153))}
    manifest = Manifest("x", "/x", ("ant", "bee"), splits)
    spec = parse_spec(spec_with(dataset__name="x", model__architecture="resnet18"))
    found = {one["title"]: one["detail"] for one in warnings_of(spec, manifest, splits, 64)}
    assert found["Classes out of balance"] == "`ant` has 90 training images, `bee` 10."
    assert "153 images: only differences of about 5 points" in found["Few validation images"]
    assert "64 px" in found["Input smaller than the network likes"]
    balanced = {"train": tuple(Item(f"{n}", n % 2) for n in range(100)), "val": ()}
    assert warnings_of(spec, manifest, balanced, 224) == []
