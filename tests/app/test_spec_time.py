"""Expected time by measured runs, on numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.spec_time import Work, estimate_time
from store.timings import Timing
from trainer.parsing import parse_spec


def spec(**sections: Any) -> dict[str, Any]:
    return parse_spec({"dataset": {"name": "pictures"}, **sections}).model_dump(mode="json")


def work(**changes: Any) -> Work:
    usual = Work(spec(), 900, 300, 300, 224, 0, "cpu")
    return replace(usual, **changes)


def timing(run_id: int, epoch_s: float, *, first_s: float | None = None, **changes: Any) -> Timing:
    resolved = {"input_size_px": 224, "feature_variants": 0, "device": "cpu"}
    return Timing(
        run_id,
        changes.pop("spec", spec()),
        {"train": 900, "val": 300},
        {**resolved, **changes},
        epoch_s if first_s is None else first_s,
        epoch_s,
    )


def test_a_run_like_it_says_how_long_it_takes() -> None:
    found = estimate_time(work(), 10, [timing(7, 100.0, first_s=120.0)])
    assert found is not None
    assert (found.likeness, found.run_ids) == ("same", (7,))
    assert found.epoch_s == pytest.approx(100)
    # 20 s before, 10 epochs, and the final evaluation of 600 images at a third of 0.1 s.
    assert found.total_s == pytest.approx(20 + 1000 + 20)


def test_images_scale_the_time() -> None:
    found = estimate_time(work(train=1900), 1, [timing(7, 100.0)])
    assert found is not None
    assert found.epoch_s == pytest.approx(200)


def test_the_likest_runs_count_and_their_spread_is_told() -> None:
    flipped = spec(augmentation={"preset": "flip"})
    measured = [timing(9, 500.0, spec=flipped), timing(8, 110.0), timing(7, 90.0), timing(6, 100.0)]
    found = estimate_time(work(test=0, val=0), 10, measured)
    assert found is not None
    assert found.run_ids == (8, 7, 6)
    assert found.low_s < found.total_s < found.high_s
    similar = estimate_time(work(), 10, measured[:1])
    assert similar is not None
    assert similar.likeness == "similar"


def test_another_input_size_is_scaled_by_pixels_and_called_rough() -> None:
    found = estimate_time(work(input_size_px=112), 1, [timing(7, 100.0)])
    assert found is not None
    assert found.likeness == "rough"
    assert found.epoch_s == pytest.approx(25)


def test_features_kept_cost_once() -> None:
    frozen = spec(freeze={"layers": "backbone"})
    mine = work(spec=frozen, feature_variants=1, train=1800, val=600, test=0)
    theirs = timing(7, 1.0, first_s=61.0, spec=frozen, feature_variants=1)
    found = estimate_time(mine, 100, [theirs])
    assert found is not None
    assert found.epoch_s == pytest.approx(2)
    assert found.total_s == pytest.approx(120 + 200)


@pytest.mark.parametrize(
    "other",
    [
        timing(7, 100.0, device="cuda"),
        timing(7, 100.0, feature_variants=1),
        timing(7, 100.0, spec=spec(freeze={"layers": "backbone"})),
        timing(
            7,
            100.0,
            spec=spec(freeze={"layers": "backbone", "schedule": [{"epoch": 2, "unfreeze": "all"}]}),
        ),
    ],
)
def test_what_cannot_be_compared_gives_no_time(other: Timing) -> None:
    assert estimate_time(work(), 10, [other]) is None
    assert estimate_time(work(), 10, []) is None


def test_one_epoch_cannot_tell_features_from_epochs() -> None:
    frozen = spec(freeze={"layers": "backbone"})
    theirs = replace(timing(7, 1.0, spec=frozen, feature_variants=1), epoch_s=None)
    assert estimate_time(work(spec=frozen, feature_variants=1), 10, [theirs]) is None
    whole = replace(timing(7, 100.0), epoch_s=None)
    found = estimate_time(work(), 10, [whole])
    assert found is not None


def test_a_time_limit_bounds_it() -> None:
    found = estimate_time(work(), 1000, [timing(7, 100.0)], limit_s=60)
    assert found is not None
    assert found.total_s == 60
