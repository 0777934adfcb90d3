from __future__ import annotations

import pytest
import yaml

from tests.app.conftest import SPEC, assert_problem


def test_a_study_launches_its_runs_together(client, bell):
    body = {"name": "Two", "note": "why", "runs": [SPEC, {**SPEC, "name": "second"}]}
    answer = client.post("/api/v1/studies", json=body)
    assert answer.status_code == 201, answer.text
    study = answer.json()
    assert answer.headers["location"] == f"/api/v1/studies/{study['id']}"
    assert study["counts"] == {"queued": 2}
    assert [run["name"] for run in study["runs"]] == ["small_cnn from scratch", "second"]
    assert {run["study_id"] for run in study["runs"]} == {study["id"]}
    assert bell.rings == ["interactive", "train"]
    assert client.get(f"/api/v1/studies/{study['id']}").json() == study
    [listed] = client.get("/api/v1/studies").json()["studies"]
    assert (listed["name"], listed["runs"], listed["counts"]) == ("Two", [], {"queued": 2})
    runs = client.get("/api/v1/runs", params={"study": study["id"]}).json()["runs"]
    assert len(runs) == 2


def test_a_study_may_be_yaml(client):
    text = yaml.safe_dump({"name": "Two", "runs": [SPEC]})
    answer = client.post(
        "/api/v1/studies", content=text.encode(), headers={"content-type": "application/yaml"}
    )
    assert answer.status_code == 201, answer.text


def test_one_wrong_spec_launches_nothing_and_is_named(client, bell):
    body = {"name": "Two", "runs": [SPEC, {**SPEC, "training": {"epochs": 0}}, {"dataset": 1}]}
    problem = assert_problem(client.post("/api/v1/studies", json=body), 422)
    assert [error["field"] for error in problem["errors"]] == [
        "runs.1.training.epochs",
        "runs.2.dataset",
    ]
    assert client.get("/api/v1/studies").json()["studies"] == []
    assert client.get("/api/v1/runs").json()["runs"] == []
    assert bell.rings == []


def test_a_wrong_study_is_refused(client):
    for body, field in (
        ({"name": "", "runs": [SPEC]}, "name"),
        ({"name": "x", "runs": []}, "runs"),
        ({"name": "x", "runs": [SPEC], "color": 1}, "color"),
        ({"runs": [SPEC]}, "name"),
    ):
        problem = assert_problem(client.post("/api/v1/studies", json=body), 422)
        assert problem["errors"][0]["field"] == field
    assert_problem(client.post("/api/v1/studies", content=b"x"), 415)


def test_an_unknown_study_is_not_found(client):
    assert_problem(client.get("/api/v1/studies/5"), 404)
    assert_problem(client.delete("/api/v1/studies/5"), 405)


BEST = {"from": "best_of(one, best_val_loss)", "training": {"epochs": 4}}


def test_a_study_in_steps_launches_its_first_step(client, bell):
    reported = [{"metric": "accuracy", "value": 0.5, "kind": "measured"}]
    body = {
        "name": "Steps",
        "priority": 2,
        "study_data": "photos of their own",
        "steps": [
            {"name": "one", "runs": [SPEC], "when_failed": "stop"},
            {"name": "two", "runs": [{**BEST, "reported": reported}]},
        ],
    }
    answer = client.post("/api/v1/studies", json=body)
    assert answer.status_code == 201, answer.text
    study = answer.json()
    assert [(step["name"], step["state"]) for step in study["steps"]] == [
        ("one", "running"),
        ("two", "waiting"),
    ]
    assert (study["steps"][0]["when_failed"], study["steps"][1]["after"]) == ("stop", ["one"])
    assert [run["priority"] for run in study["runs"]] == [2]
    assert not study["is_over"]
    assert bell.rings == ["interactive", "train"]
    assert client.get(f"/api/v1/studies/{study['id']}").json() == study


def test_a_study_in_steps_launches_what_stands_in_for_its_runs_where_asked(client):
    run = {
        "dataset": {"name": "digits"},
        "model": {"architecture": "resnet18"},
        "substitute": {"model": {"architecture": "tuneboard/small_cnn", "weights": "none"}},
    }
    body = {"name": "One", "steps": [{"name": "one", "runs": [run]}]}
    for wanted, network in ((False, "resnet18"), (True, "tuneboard/small_cnn")):
        study = client.post("/api/v1/studies", json={**body, "substitute": wanted}).json()
        assert study["runs"][0]["spec"]["model"]["architecture"] == network
    problem = client.post("/api/v1/studies", json={"name": "x", "runs": [SPEC], "substitute": True})
    assert assert_problem(problem, 422)["errors"][0]["field"] == "substitute"


def test_a_wrong_step_is_refused_by_its_path_and_launches_nothing(client, bell):
    two = {"name": "two", "runs": [BEST]}
    one = {"name": "one", "runs": [SPEC]}
    for more, field in (
        (
            {"steps": [one, {**two, "runs": [{"from": "best_of(x, test_loss)"}]}]},
            "steps.1.runs.0.from",
        ),
        (
            {"steps": [{**one, "runs": [{**SPEC, "training": {"epochs": 0}}]}]},
            "steps.0.runs.0.training.epochs",
        ),
        (
            {"steps": [{**one, "runs": [{**SPEC, "dataset": {"name": "nothing"}}]}]},
            "steps.0.runs.0.dataset.name",
        ),
        (
            {"steps": [one, {**two, "runs": [{**BEST, "dataset": {"name": "nothing"}}]}]},
            "steps.1.runs.0.dataset.name",
        ),
        ({"steps": [one], "runs": [SPEC]}, "steps"),
        ({"steps": []}, "steps"),
        ({"steps": ["one"]}, "steps.0"),
        ({"steps": [one], "published": [None]}, "published"),
        ({"runs": [SPEC], "study_data": "photos"}, "study_data"),
    ):
        problem = assert_problem(client.post("/api/v1/studies", json={"name": "x", **more}), 422)
        assert [error["field"] for error in problem["errors"]] == [field]
    assert client.get("/api/v1/studies").json()["studies"] == []
    assert bell.rings == []


LAUNCHES = [
    ("/api/v1/studies", {"name": "Two", "runs": [SPEC, SPEC]}),
    ("/api/v1/studies", {"sweep": {"base": SPEC, "seeds": 2}}),
    ("/api/v1/studies", {"name": "Steps", "steps": [{"name": "a", "runs": [SPEC]}]}),
    ("/api/v1/recipes/s1-ants-and-bees/launch", {"dataset": "digits"}),
]


@pytest.mark.parametrize(("path", "body"), LAUNCHES)
def test_an_idempotency_key_makes_one_study(client, path, body):
    headers = {"idempotency-key": "k1"}
    first = client.post(path, json=body, headers=headers)
    again = client.post(path, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200), again.text
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    other = client.post(path, json={**body, "note": "another"}, headers=headers)
    problem = assert_problem(other, 409, "Conflict")
    assert "another study, 1." in problem["detail"]
    assert "new key" in problem["remedy"]
    long = client.post(path, json=body, headers={"idempotency-key": "k" * 201})
    assert_problem(long, 422)
    assert len(client.get("/api/v1/studies").json()["studies"]) == 1
    assert client.post(path, json=body).status_code == 201


def test_a_dry_run_leaves_its_key_unused(client):
    path, body = LAUNCHES[1]
    headers = {"idempotency-key": "k1"}
    told = client.post(f"{path}?dry_run=true", json=body, headers=headers)
    assert (told.status_code, told.json()["runs_total"]) == (200, 2)
    assert client.post(path, json=body, headers=headers).status_code == 201
