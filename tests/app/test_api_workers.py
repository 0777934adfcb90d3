from __future__ import annotations

from store.rows import WorkerRow
from store.workers import beat
from tests.app.conftest import assert_problem


def test_workers_are_listed_with_their_age(client, store):
    assert client.get("/api/v1/workers").json() == {"workers": []}
    beat(store, WorkerRow("here:1", "train", "here", 1, "cpu", 2, 1.0, details={"cores": 2}))
    [worker] = client.get("/api/v1/workers").json()["workers"]
    assert (worker["id"], worker["slots"], worker["details"]) == ("here:1", 2, {"cores": 2})
    assert 0 <= worker["age_s"] < 10
    assert_problem(client.post("/api/v1/workers"), 405)
