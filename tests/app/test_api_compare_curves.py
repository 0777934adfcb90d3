from __future__ import annotations

import math
from array import array
from base64 import b64decode
from typing import Any

import pytest
from fastapi.testclient import TestClient

from store import series
from store.database import Store
from store.series import Point
from tests.app.conftest import assert_problem
from tests.seeding import Seeded


def curves(client: TestClient, query: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1/compare/curves?{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def unpacked(found: dict[str, Any]) -> dict[tuple[int, str], tuple[list[float], list[float]]]:
    """Return (x, y) by run and metric, as a reader of the answer would."""
    columns = {name: array("f", b64decode(text)) for name, text in found["columns"].items()}
    place, result = 0, {}
    for curve in found["curves"]:
        part = slice(place, place + curve["points"])
        result[curve["run"], curve["metric"]] = (list(columns["x"][part]), list(columns["y"][part]))
        place += curve["points"]
    assert place == len(columns["x"]) == len(columns["y"])
    return result


def fill(store: Store, run_id: int, values: list[float], name: str = "batch_loss") -> None:
    points = [Point(n, n / 100, n / 4, value) for n, value in enumerate(values, start=1)]
    with store.write() as conn:
        series.append(conn, run_id, {name: series.columns_of(points)})


def test_curves_come_in_packed_columns(client: TestClient, seeded: Seeded) -> None:
    found = curves(client, "run=2&run=1&metric=val_accuracy&metric=val_loss")
    assert [(one["run"], one["metric"]) for one in found["curves"]] == [
        (1, "val_accuracy"),
        (1, "val_loss"),
        (2, "val_accuracy"),
        (2, "val_loss"),
    ]
    xs, ys = unpacked(found)[1, "val_accuracy"]
    assert xs == list(range(1, 13))
    told = client.get("/api/v1/runs/1/series?name=val_accuracy").json()["series"]["val_accuracy"]
    assert ys == pytest.approx(told["value"])
    first = found["curves"][0]
    assert (first["total"], first["points"], first["last_step"], first["ends_at"]) == (
        12,
        12,
        540,
        12,
    )
    assert first["best"] == [12, pytest.approx(ys[-1])]
    assert found["sampled_from"] is None
    assert "train_loss" in found["metrics"]


@pytest.mark.parametrize(
    ("x", "last"), [("epoch", 12), ("step", 540), ("seconds", 10.8), ("wall", 10.8)]
)
def test_curves_are_told_against_any_axis(
    client: TestClient, seeded: Seeded, x: str, last: float
) -> None:
    xs, _ = unpacked(curves(client, f"run=1&metric=val_loss&x={x}"))[1, "val_loss"]
    assert xs[-1] == pytest.approx(last)


def test_a_spike_of_one_step_and_a_gap_survive_down_sampling(
    client: TestClient, store: Store, external_id: int
) -> None:
    values = [math.sin(number / 900) for number in range(100_000)]
    values[54_320] = 40.0
    values[70_000] = math.nan
    fill(store, external_id, values)
    found = curves(client, f"run={external_id}&metric=batch_loss&x=step")
    xs, ys = unpacked(found)[external_id, "batch_loss"]
    assert len(xs) <= found["points_per_curve"] == 1000
    assert (found["sampled_from"], found["curves"][0]["total"]) == (100_000, 100_000)
    assert ys[xs.index(54_321)] == 40.0
    assert math.isnan(ys[xs.index(70_001)])
    part = curves(client, f"run={external_id}&metric=batch_loss&x=step&from=54000&to=54700")
    zoomed, _ = unpacked(part)[external_id, "batch_loss"]
    assert zoomed == list(range(53_999, 54_702)), "one more on each side, to draw up to the edges"
    assert part["sampled_from"] is None


def test_a_run_without_points_or_with_one_or_without_the_metric_has_what_it_has(
    client: TestClient, seeded: Seeded, store: Store, external_id: int
) -> None:
    fill(store, external_id, [0.5], "val_accuracy")
    runs = f"run={seeded.queued}&run={external_id}&run={seeded.scratch}"
    found = curves(client, f"{runs}&metric=val_accuracy&metric=nobody_recorded_this")
    assert set(unpacked(found)) == {(external_id, "val_accuracy"), (1, "val_accuracy")}
    nothing = curves(client, f"run={seeded.queued}&metric=val_accuracy")
    assert (nothing["curves"], nothing["metrics"]) == ([], [])


def test_values_that_are_not_finite_are_gaps(client: TestClient, seeded: Seeded) -> None:
    found = curves(client, f"run={seeded.script}&metric=val_loss&metric=train_loss")
    assert math.isnan(unpacked(found)[seeded.script, "val_loss"][1][0])
    assert found["curves"][0]["ends_at"] == 3


def replicates(client: TestClient, store: Store) -> list[int]:
    """Three seeds of one setting, of which the last one ends early, and one of another."""
    runs = []
    for seed, lr, points in ((0, 0.1, 30), (1, 0.1, 30), (2, 0.1, 20), (0, 0.5, 30)):
        spec = {
            "dataset": {"name": "digits"},
            "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
            "optimizer": {"lr": lr},
            "training": {"seed": seed},
        }
        run_id = client.post("/api/v1/runs?external=true", json=spec).json()["id"]
        runs.append(run_id)
        fill(store, run_id, [float(seed + lr)] * points)
    return runs


def test_groups_have_a_mean_a_band_and_the_number_of_runs(client: TestClient, store: Store) -> None:
    runs = replicates(client, store)
    query = "&".join(f"run={run_id}" for run_id in runs)
    found = curves(client, f"{query}&metric=batch_loss&x=step&group=settings")
    assert [(group["label"], group["runs"]) for group in found["groups"]] == [
        ("optimizer.lr = 0.1", runs[:3]),
        ("optimizer.lr = 0.5", runs[3:]),
    ]
    columns = {name: array("f", b64decode(text)) for name, text in found["columns"].items()}
    for name, at_first, at_last in (
        ("y", 1.1, 0.6),
        ("low", 0.1, 0.1),
        ("high", 2.1, 1.1),
        ("runs", 3, 2),
    ):
        assert (columns[name][0], columns[name][29]) == pytest.approx((at_first, at_last)), name
    assert found["ended"] == [{"run": runs[2], "metric": "batch_loss", "at": 20}]
    assert [curve["of"] for curve in found["curves"]] == [3, 1]
    spread = curves(client, f"{query}&metric=batch_loss&x=step&group=optimizer.lr&band=sd")
    low = array("f", b64decode(spread["columns"]["low"]))
    assert low[0] == pytest.approx(1.1 - 1)


def test_a_run_of_a_group_that_has_no_value_is_named(client: TestClient, store: Store) -> None:
    runs = replicates(client, store)
    silent = client.post(
        "/api/v1/runs?external=true",
        json={
            "dataset": {"name": "digits"},
            "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
            "optimizer": {"lr": 0.1},
            "training": {"seed": 7},
        },
    ).json()["id"]
    query = f"run={runs[0]}&run={silent}&metric=batch_loss&group=settings"
    found = curves(client, query)
    assert found["without"] == [{"run": silent, "metric": "batch_loss"}]
    assert found["curves"][0]["of"] == 2


def test_a_field_that_no_spec_has_is_refused_with_the_nearest(
    client: TestClient, run_id: int
) -> None:
    answer = client.get(f"/api/v1/compare/curves?run={run_id}&metric=a&group=optimiser.lr")
    problem = assert_problem(answer, 422)
    assert "`optimizer.lr`" in problem["errors"][0]["remedy"]


def test_spikes_of_a_group_survive_down_sampling(client: TestClient, store: Store) -> None:
    runs = replicates(client, store)
    for run_id, spike in ((runs[0], 40.0), (runs[1], -40.0)):
        values = [math.sin(number / 900) for number in range(20_000)]
        values[4_321] = spike
        fill(store, run_id, values, "long")
    query = f"run={runs[0]}&run={runs[1]}&metric=long&x=step&group=settings&points=100"
    found = curves(client, query)
    columns = {name: array("f", b64decode(text)) for name, text in found["columns"].items()}
    assert len(columns["x"]) <= 100
    assert (max(columns["high"]), min(columns["low"])) == (40.0, -40.0)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("metric=a", "run"),
        ("run=1", "metric"),
        ("run=1&metric=a&x=week", "x"),
        ("run=1&metric=a&points=2", "points"),
        ("run=1&metric=a&from=3&to=2", "to"),
        ("run=1&metric=a&from=nan", "from"),
    ],
)
def test_bad_questions_are_refused(client: TestClient, run_id: int, query: str, field: str) -> None:
    problem = assert_problem(client.get(f"/api/v1/compare/curves?{query}"), 422)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_unknown_runs_and_methods_are_refused(client: TestClient, run_id: int) -> None:
    assert_problem(client.get("/api/v1/compare/curves?run=77&metric=a"), 404)
    assert_problem(client.post(f"/api/v1/compare/curves?run={run_id}&metric=a"), 405)
