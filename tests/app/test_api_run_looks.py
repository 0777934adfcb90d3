from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from store.database import Store
from store.settings import Settings
from tests.app.conftest import assert_problem
from tests.compared import answers, digits, finished_run
from tests.seeding import Seeded


@pytest.fixture
def address(client: TestClient, seeded: Seeded, store: Store, settings: Settings) -> str:
    """Of an evaluation of 90 digits: those at 0 to 29 are wrong, each surer than the one before."""
    items = digits(settings, store)
    sure = [0.5 + place / 200 for place in range(90)]
    run = finished_run(store, settings, "unsure", answers(items, range(30)), confidence=sure)
    return f"/api/v1/runs/{run.id}/evaluations/val"


def places(client: TestClient, address: str, query: str = "") -> list[int]:
    answer = client.get(f"{address}/looks{query}")
    assert answer.status_code == 200, answer.text
    return [one["index"] for one in answer.json()["images"]]


def test_the_surest_mistakes_and_the_least_certain_hits_come_first(client, address):
    assert places(client, address) == list(range(29, 5, -1))
    assert places(client, address, "?page=2") == list(range(5, -1, -1))
    assert places(client, address, "?show=hits") == list(range(30, 54))
    found = client.get(f"{address}/looks").json()
    assert (found["total"], found["pages"]) == (30, 2)
    first = found["images"][0]
    (said,) = first["said"]
    assert (first["label"], said["predicted"]) == ("3", "4")
    assert said["probability"] == pytest.approx(0.645)
    assert client.get(first["image"]).headers["content-type"] == "image/webp"


def test_a_draw_is_the_same_for_the_same_number(client, address):
    drawn = places(client, address, "?show=random&seed=1")
    assert len(drawn) == 24
    assert drawn == places(client, address, "?show=random&seed=1")
    assert drawn != places(client, address, "?show=random&seed=2")


def test_calibration_has_bins_with_counts(client, address):
    found = client.get(f"{address}/calibration").json()
    assert len(found["bins"]) == 15
    assert found["images"] == sum(one["images"] for one in found["bins"]) == 90
    assert found["accuracy"] == pytest.approx(60 / 90)
    assert found["confidence"] == pytest.approx(0.7225, abs=1e-6)
    empty, eighth, last = found["bins"][0], found["bins"][7], found["bins"][14]
    assert empty == {"low": 0, "high": 1 / 15, "images": 0, "confidence": None, "accuracy": None}
    assert (eighth["images"], eighth["accuracy"]) == (7, 0)  # 0.5 to 0.53
    assert (last["images"], last["accuracy"]) == (3, 1)  # 0.935 to 0.945


@pytest.mark.parametrize("query", ["show=all", "seed=-1", "seed=10001", "page=0"])
def test_bad_queries_are_refused(client, address, query):
    [error] = assert_problem(client.get(f"{address}/looks?{query}"), 422)["errors"]
    assert error["field"] == query.split("=")[0]


@pytest.mark.parametrize("what", ["looks", "calibration"])
def test_what_is_not_there_is_not_found(client, address, seeded, what):
    assert_problem(client.get(f"{address.removesuffix('val')}test/{what}"), 404)
    assert_problem(client.get(f"/api/v1/runs/{seeded.queued}/evaluations/val/{what}"), 404)
    assert_problem(client.get(f"/api/v1/runs/{seeded.tuned}/evaluations/val/{what}"), 404)
    assert_problem(client.get(f"{address.removesuffix('val')}train/{what}"), 422)
    assert_problem(client.post(f"{address}/{what}"), 405)
