from __future__ import annotations

import pytest

from store.lifecycle import claim
from store.runs import get_run
from tests.app.conftest import SPEC, assert_problem


@pytest.fixture
def waiting(client, pictures) -> int:
    """A queued run whose dataset is ready."""
    spec = {**SPEC, "dataset": {"name": "pictures"}}
    return client.post("/api/v1/runs", json=spec).json()["id"]


def test_a_queued_run_is_paused_and_resumed(client, waiting, bell):
    bell.rings.clear()
    paused = client.post(f"/api/v1/runs/{waiting}/pause").json()
    assert (paused["status"], paused["queue"], bell.rings) == ("paused", None, [])
    resumed = client.post(f"/api/v1/runs/{waiting}/resume").json()
    assert (resumed["status"], resumed["queue"]["position"]) == ("queued", 1)
    assert bell.rings == ["train"]
    assert client.get("/api/v1/runs?status=paused").json()["runs"] == []


def test_a_running_run_is_asked_to_pause(client, waiting, store):
    assert claim(store, "w", device="cpu", lease_s=60)
    asked = client.post(f"/api/v1/runs/{waiting}/pause").json()
    assert (asked["status"], asked["pause_requested"]) == ("running", True)
    assert client.post(f"/api/v1/runs/{waiting}/resume").json()["pause_requested"] is False


@pytest.mark.parametrize("wish", ["pause", "resume", "priority"])
def test_wishes_about_a_run_that_ended_or_is_unknown_are_refused(client, waiting, wish):
    body = {"json": {"priority": 1}} if wish == "priority" else {}
    client.post(f"/api/v1/runs/{waiting}/cancel")
    problem = assert_problem(client.post(f"/api/v1/runs/{waiting}/{wish}", **body), 409)
    assert "has cancelled" in problem["detail"]
    assert_problem(client.post(f"/api/v1/runs/99/{wish}", **body), 404)
    assert_problem(client.get(f"/api/v1/runs/{waiting}/{wish}"), 405)


def test_a_run_that_is_not_paused_is_not_resumed(client, waiting):
    assert_problem(client.post(f"/api/v1/runs/{waiting}/resume"), 409)


def test_an_external_run_is_not_paused(client, external_id):
    problem = assert_problem(client.post(f"/api/v1/runs/{external_id}/pause"), 409)
    assert "script" in problem["detail"]


def test_a_waiting_run_changes_its_place(client, waiting, store):
    other = client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "pictures"}}).json()
    assert other["queue"]["position"] == 2
    moved = client.post(f"/api/v1/runs/{other['id']}/priority", json={"priority": 7}).json()
    assert (moved["priority"], moved["queue"]["position"]) == (7, 1)
    assert get_run(store, waiting).priority == 0


@pytest.mark.parametrize("wrong", [{}, {"priority": "high"}, {"priority": 1001}, {"prio": 1}])
def test_a_wrong_priority_names_its_field(client, waiting, wrong):
    problem = assert_problem(
        client.post(f"/api/v1/runs/{waiting}/priority", json=wrong), 422, "Invalid input"
    )
    assert {error["field"] for error in problem["errors"]} <= {"priority", "prio"}
