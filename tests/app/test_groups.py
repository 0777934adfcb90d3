from __future__ import annotations

import math

import numpy as np
import pytest

from app.figures.groups import GroupCurve, group_curve, grouped

FIELDS = {
    1: {"name": "a", "training.seed": "0", "optimizer.lr": "0.1", "model.architecture": "m"},
    2: {"name": "b", "training.seed": "1", "optimizer.lr": "0.1", "model.architecture": "m"},
    3: {"name": "c", "training.seed": "0", "optimizer.lr": "0.5", "model.architecture": "m"},
    4: {"name": "d", "training.seed": "0", "model.architecture": "m"},
}


def curve(xs: list[float], ys: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(xs, dtype=float), np.array(ys, dtype=float)


def rows(found: GroupCurve) -> list[tuple[float, ...]]:
    columns = (found.x, found.mean, found.low, found.high, found.runs)
    return [tuple(float(column[index]) for column in columns) for index in range(len(found.x))]


def test_all_settings_but_the_seed_and_the_name_make_a_group():
    found = grouped([3, 1, 2, 4], FIELDS, "settings")
    assert [(group.label, group.run_ids) for group in found] == [
        ("optimizer.lr = 0.5", (3,)),
        ("optimizer.lr = 0.1", (1, 2)),
        ("optimizer.lr = unset", (4,)),
    ]
    assert grouped([1, 2], FIELDS, "settings")[0].label == "all settings alike"


def test_any_field_groups_the_seed_too():
    found = grouped([1, 2, 3], FIELDS, "training.seed")
    assert [(group.label, group.run_ids) for group in found] == [
        ("training.seed = 0", (1, 3)),
        ("training.seed = 1", (2,)),
    ]


def test_labels_that_would_be_equal_are_numbered():
    fields = {
        run: {f"field{number}": str(run if number == 9 else run // 10) for number in range(10)}
        for run in (10, 11, 20)
    }
    labels = [group.label for group in grouped([10, 11, 20], fields, "settings")]
    assert len(set(labels)) == 3
    assert all("and 7 more" in label for label in labels)


def test_mean_and_band_are_of_the_runs_that_have_the_point():
    found = group_curve([curve([1, 2, 3], [1, 2, 3]), curve([1, 2], [3, 6])], "minmax")
    assert rows(found) == [(1, 2, 1, 3, 2), (2, 4, 2, 6, 2), (3, 3, 3, 3, 1)]
    spread = group_curve([curve([1, 2, 3], [1, 2, 3]), curve([1, 2], [3, 6])], "sd")
    assert rows(spread)[0] == pytest.approx((1, 2, 2 - math.sqrt(2), 2 + math.sqrt(2), 2))
    assert rows(spread)[2] == (3, 3, 3, 3, 1)


def test_a_gap_takes_a_run_out_there_and_only_there():
    found = group_curve(
        [curve([1, 2, 3], [1, math.nan, 3]), curve([1, 2, 3], [3, 4, math.inf])], "minmax"
    )
    assert rows(found) == [(1, 2, 1, 3, 2), (2, 4, 4, 4, 1), (3, 3, 3, 3, 1)]
    nobody = group_curve([curve([1, 2], [1, math.nan])], "minmax")
    assert math.isnan(nobody.mean[1])
    assert math.isnan(nobody.low[1])
    assert nobody.runs.tolist() == [1, 0]


def test_runs_recorded_at_other_places_are_read_off_between_their_points():
    found = group_curve([curve([0, 10], [0, 10]), curve([0, 5, 10], [1, 6, 11])], "minmax")
    assert rows(found) == [(0, 0.5, 0, 1, 2), (5, 5.5, 5, 6, 2), (10, 10.5, 10, 11, 2)]


def test_runs_without_any_common_place_are_averaged_on_an_even_grid():
    first = curve([index + 0.1 for index in range(50)], [1.0] * 50)
    second = curve([index * 1.01 + 0.37 for index in range(50)], [3.0] * 50)
    third = curve([index * 0.5 + 0.21 for index in range(50)], [5.0] * 50)
    found = group_curve([first, second, third], "minmax")
    assert len(found.x) == 50
    assert found.runs[0] == 1
    assert found.runs[-1] == 1
    assert found.runs[10] == 3
    assert found.mean[10] == pytest.approx(3)
    assert found.runs.sum() > 120, "no run is dropped where it has values"


def test_no_points_at_all_make_an_empty_curve():
    assert len(group_curve([], "minmax").x) == 0
    assert len(group_curve([curve([], [])], "sd").x) == 0
    single = group_curve([curve([], []), curve([2], [7])], "sd")
    assert rows(single) == [(2, 7, 7, 7, 1)]
