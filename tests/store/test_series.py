from __future__ import annotations

import sys
from array import array

import pytest

from store import series
from store.database import Store
from store.series import Point, empty_summary, summarize
from tests.store.helpers import queued


def fill(store: Store, run_id: int, name: str, values: list[float]) -> None:
    points = [Point(n, n / 10, n / 2, value) for n, value in enumerate(values, start=1)]
    with store.write() as conn:
        series.append(conn, run_id, {name: series.columns_of(points)})


def test_series_come_by_run_and_name(store: Store) -> None:
    ids = [queued(store).id for _ in range(3)]
    fill(store, ids[0], "val_loss", [1.0, 2.0])
    fill(store, ids[1], "val_loss", [3.0])
    fill(store, ids[1], "other", [4.0])
    found = series.series(store, ids, ["val_loss"])
    assert {key: list(points.values) for key, points in found.items()} == {
        (ids[0], "val_loss"): [1.0, 2.0],
        (ids[1], "val_loss"): [3.0],
    }
    assert series.series_names(store, ids) == ["other", "val_loss"]
    assert len(series.series(store, ids)) == 3
    assert series.series(store, []) == {}
    assert series.series_names(store, [ids[2]]) == []


def test_values_keep_every_bit(store: Store) -> None:
    run_id = queued(store).id
    values = [0.1, 1e-300, -1e300, 1 / 3]
    fill(store, run_id, "val_loss", values)
    found = series.series(store, [run_id])[run_id, "val_loss"]
    assert found.values == array("d", values)
    assert found.steps == array("i", [1, 2, 3, 4])
    assert found.epochs == array("f", [0.1, 0.2, 0.3, 0.4])
    assert found.elapsed == array("f", [0.5, 1.0, 1.5, 2.0])
    assert len(found) == 4


def test_packing_is_little_endian_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    native = series._pack(array("i", [1]))
    monkeypatch.setattr(sys, "byteorder", {"little": "big", "big": "little"}[sys.byteorder])
    swapped = series._pack(array("i", [1]))
    assert {native, swapped} == {b"\x01\x00\x00\x00", b"\x00\x00\x00\x01"}
    points = series.SeriesPoints()
    for value in (1, 2):
        packed = [series._pack(array(code, [value])) for code in "iffd"]
        series._extend(points, packed)
    assert (points.steps, points.values) == (array("i", [1, 2]), array("d", [1.0, 2.0]))


def test_truncating_at_the_end_changes_nothing(store: Store) -> None:
    run_id = queued(store).id
    fill(store, run_id, "val_loss", [1.0, 2.0])
    with store.write() as conn:
        assert not series.truncate(conn, run_id, 2, 2, ["val_loss"])
        assert series.truncate(conn, run_id, 1, 1, ["val_loss"])
    assert list(series.series(store, [run_id])[run_id, "val_loss"].values) == [1.0]


@pytest.mark.parametrize(
    ("name", "best", "epoch"),
    [
        ("val_accuracy", 3.0, 2),
        ("accuracy", 3.0, 2),
        ("val_loss", 1.0, 1),
        ("accuracy_gap", 1.0, 1),
    ],
)
def test_the_best_is_the_maximum_of_accuracies(name: str, best: float, epoch: int) -> None:
    points = [Point(n, n, 0.0, value) for n, value in enumerate([1.0, 3.0, 2.0], start=1)]
    summary = summarize(empty_summary(1, name), series.columns_of(points))
    assert (summary.best, summary.best_epoch, summary.last) == (best, epoch, 2.0)


def test_the_best_step_is_counted_to_the_epoch_it_lies_in() -> None:
    points = [Point(5, 0.5, 0.0, 2.0), Point(15, 1.5, 0.0, 1.0), Point(20, 2.0, 0.0, 3.0)]
    assert summarize(empty_summary(1, "batch_loss"), series.columns_of(points)).best_epoch == 2


def test_a_value_that_is_not_finite_counts_and_says_nothing() -> None:
    nan, inf = float("nan"), float("inf")
    points = [Point(n, n, 0.0, value) for n, value in enumerate([nan, 3.0, inf, 2.0, nan], start=1)]
    first = summarize(empty_summary(1, "val_loss"), series.columns_of(points))
    assert (first.points, first.best, first.best_epoch, first.last) == (5, 2.0, 4, 2.0)
    assert (first.minimum, first.maximum) == (2.0, 3.0)
    unchanged = summarize(first, series.columns_of([Point(6, 6, 0.0, nan)]))
    assert (unchanged.points, unchanged.best, unchanged.last) == (6, 2.0, 2.0)
    equal = summarize(first, series.columns_of([Point(7, 7, 0.0, 2.0)]))
    assert equal.best_epoch == 4, "of equal ones the first is the best"
