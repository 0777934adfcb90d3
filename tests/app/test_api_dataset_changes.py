"""Datasets renamed, described, cut and asked about over HTTP."""

from __future__ import annotations

import pytest

from store.datasets import get_dataset, register_dataset
from tests.app.conftest import SPEC, assert_problem


def test_a_dataset_is_renamed_and_described(client, store, pictures):
    body = {"name": "paint", "title": "Paint", "description": "Three colours."}
    answer = client.patch("/api/v1/datasets/pictures", json=body)
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert (changed["name"], changed["title"], changed["description"]) == tuple(body.values())
    assert changed["former_names"] == ["pictures"]
    assert client.get("/api/v1/datasets/pictures").json() == changed
    assert client.patch("/api/v1/datasets/paint", json={}).json() == changed
    spec = {**SPEC, "dataset": {"name": "pictures"}}
    assert client.post("/api/v1/runs", json=spec).json()["dataset"] == "paint"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "No Name"}, 422, "name"),
        ({"name": "digits"}, 409, None),
        ({"description": "x" * 10_001}, 422, "description"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_a_wrong_change_is_refused_as_a_whole(client, store, pictures, body, status, field):
    register_dataset(store, "digits", "catalogue", "digits", "local")
    answer = client.patch("/api/v1/datasets/pictures", json={"title": "New", **body})
    problem = assert_problem(answer, status)
    assert [error["field"] for error in problem["errors"]] == ([field] if field else [])
    assert get_dataset(store, "pictures").title == ""


def test_one_in_preparation_keeps_its_name(client, store):
    register_dataset(store, "digits", "catalogue", "digits", "local")
    assert_problem(client.patch("/api/v1/datasets/digits", json={"name": "numbers"}), 409)
    answer = client.patch("/api/v1/datasets/digits", json={"title": "Numbers"})
    assert answer.json()["title"] == "Numbers"


def test_what_uses_it_and_what_it_takes_are_told(client, settings, pictures):
    run = client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "pictures"}}).json()
    manifest = settings.dataset_dir(pictures.id) / "manifest.json"
    assert client.get("/api/v1/datasets/pictures/use").json() == {
        "runs": 1,
        "live_runs": [run["id"]],
        "live_total": 1,
        "freed_bytes": manifest.stat().st_size,  # the folder is its owner's
    }


def test_a_cut_is_counted_by_class(client, pictures):
    address = "/api/v1/datasets/pictures/cut"
    cut = client.get(f"{address}?validation_fraction=0.25&test_fraction=0.25&split_seed=4").json()
    assert cut["totals"] == {"train": 6, "val": 3, "test": 3}
    assert cut["counts"] == {"train": [2] * 3, "val": [1] * 3, "test": [1] * 3}
    assert "dataset.split_seed=4" in cut["launch"]
    same = client.get(f"{address}?validation_fraction=0.25&test_fraction=0.25&split_seed=4").json()
    other = client.get(f"{address}?validation_fraction=0.25&test_fraction=0.25&split_seed=5").json()
    assert same["fingerprints"] == cut["fingerprints"] != other["fingerprints"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("validation_fraction=2", "validation_fraction"),
        ("validation_count=12", "validation_count"),
        ("test_split=val", "test_split"),
        ("colour=red", "colour"),
    ],
)
def test_a_wrong_cut_names_its_field(client, pictures, query, field):
    problem = assert_problem(client.get(f"/api/v1/datasets/pictures/cut?{query}"), 422)
    assert problem["errors"][0]["field"].endswith(field)


def test_what_is_unknown_or_not_ready_is_said(client, store):
    register_dataset(store, "digits", "catalogue", "digits", "local")
    assert_problem(client.get("/api/v1/datasets/digits/cut"), 409)
    for address in ("/api/v1/datasets/none/cut", "/api/v1/datasets/none/use"):
        assert_problem(client.get(address), 404)
    assert_problem(client.patch("/api/v1/datasets/none", json={}), 404)
    assert_problem(client.post("/api/v1/datasets/digits/use"), 405)
