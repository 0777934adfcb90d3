from __future__ import annotations

import pytest

from store import runs
from store.lifecycle import claim
from store.runs import get_run
from tests.app.conftest import SPEC, assert_problem
from tests.seeding import Teller


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


@pytest.fixture
def done(client, pictures, store, settings) -> int:
    """A run that has succeeded and whose checkpoint is there."""
    spec = {**SPEC, "dataset": {"name": "pictures"}, "name": "mine"}
    return succeeded(client, store, settings, spec)


def succeeded(client, store, settings, spec) -> int:
    run_id = client.post("/api/v1/runs", json=spec).json()["id"]
    assert claim(store, "w", device="cpu", lease_s=60)
    epochs = spec["training"]["epochs"]
    teller = Teller(store, run_id, 1, epochs=epochs, top=0.9, steps_per_epoch=3)
    teller.start()
    for number in range(1, epochs + 1):
        teller.epoch(number)
    teller.finish()
    folder = settings.attempt_dir(run_id, 1) / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "last.pt").write_bytes(b"")
    return run_id


def test_a_finished_run_is_continued_as_a_new_one(client, done, bell):
    bell.rings.clear()
    answer = client.post(f"/api/v1/runs/{done}/continue", json={"epochs": 3})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{made['id']}"
    assert made["continues"] == {"run": done, "epoch": 2}
    assert (made["status"], made["epochs"], made["name"]) == ("queued", 5, "mine, 5 epochs")
    assert client.get(f"/api/v1/runs/{done}").json()["status"] == "succeeded"
    assert bell.rings == ["train"]


def test_a_schedule_at_its_end_is_said_to_need_a_restart(client, pictures, store, settings):
    spec = {**SPEC, "dataset": {"name": "pictures"}, "scheduler": {"name": "cosine"}}
    run_id = succeeded(client, store, settings, spec)
    address = f"/api/v1/runs/{run_id}/continue"
    problem = assert_problem(client.post(address, json={"epochs": 3}), 422)
    assert [error["field"] for error in problem["errors"]] == ["schedule"]
    assert "`restart` lets it begin again" in problem["errors"][0]["remedy"]
    made = client.post(address, json={"epochs": 3, "schedule": "restart"}).json()
    assert made["spec"]["scheduler"]["restarts_after"] == [2]


@pytest.mark.parametrize(
    "wrong", [{}, {"epochs": 0}, {"epochs": "many"}, {"epochs": 10_000}, {"epochs": 1, "x": 1}]
)
def test_wrong_epochs_name_their_field(client, done, wrong):
    assert_problem(client.post(f"/api/v1/runs/{done}/continue", json=wrong), 422)


def test_runs_that_cannot_be_continued_say_why(client, done, waiting, external_id, settings):
    for run_id, why in ((waiting, "is queued"), (external_id, "script"), (99, "no run 99")):
        answer = client.post(f"/api/v1/runs/{run_id}/continue", json={"epochs": 1})
        problem = assert_problem(answer, 404 if run_id == 99 else 409)
        assert why in problem["detail"]
    (settings.attempt_dir(done, 1) / "checkpoints" / "last.pt").unlink()
    answer = client.post(f"/api/v1/runs/{done}/continue", json={"epochs": 1})
    assert "no longer here" in assert_problem(answer, 409)["detail"]


def test_more_seeds_come_all_or_none(client, run_id, bell, monkeypatch):
    made = []
    add_run = runs.add_run

    def fail_at_the_third(*args, **named):
        if len(made) == 2:
            raise RuntimeError
        made.append(add_run(*args, **named))
        return made[-1]

    monkeypatch.setattr(runs, "add_run", fail_at_the_third)
    rings = len(bell.rings)
    answer = client.post(f"/api/v1/runs/{run_id}/seeds", json={"count": 3})
    assert answer.status_code == 500
    assert len(made) == 2
    assert [run["id"] for run in client.get("/api/v1/runs").json()["runs"]] == [run_id]
    assert len(bell.rings) == rings


def test_more_seeds_are_those_that_were_not_used(client, done):
    made = client.post(f"/api/v1/runs/{done}/seeds", json={"count": 2}).json()["runs"]
    assert [run["spec"]["training"]["seed"] for run in made] == [1, 2]
    assert [run["name"] for run in made] == ["mine, seed 1", "mine, seed 2"]
    again = client.post(f"/api/v1/runs/{made[0]['id']}/seeds", json={"count": 1}).json()["runs"]
    assert again[0]["spec"]["training"]["seed"] == 3
    named = client.post(f"/api/v1/runs/{done}/seeds", json={"seeds": [40, 30]}).json()["runs"]
    assert [run["spec"]["training"]["seed"] for run in named] == [40, 30]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, ""),
        ({"count": 1, "seeds": [1]}, ""),
        ({"count": 0}, "count"),
        ({"seeds": [0]}, "seeds.0"),
        ({"seeds": [5, 5]}, "seeds.1"),
        ({"seeds": [-1]}, "seeds.0"),
    ],
)
def test_wrong_seeds_launch_nothing(client, done, wrong, field):
    problem = assert_problem(client.post(f"/api/v1/runs/{done}/seeds", json=wrong), 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert len(client.get("/api/v1/runs").json()["runs"]) == 1


def test_a_reported_run_has_no_other_seeds(client, external_id):
    assert_problem(client.post(f"/api/v1/runs/{external_id}/seeds", json={"count": 1}), 409)
