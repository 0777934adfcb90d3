"""Sweeps over HTTP: launched, looked at before, refused by the path of what is wrong."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from store import lifecycle, searches
from store.database import Store
from tests.app.conftest import SPEC, FakeBell
from tests.store.helpers import epoch

SPACE = {"optimizer.lr": [0.1, 0.01, 0.001], "training.batch_size": [8, 16]}


def post(client: TestClient, sweep: dict[str, Any], status: int = 201, **others: Any) -> Any:
    address = "/api/v1/studies" + ("?dry_run=true" if others.pop("dry_run", False) else "")
    answer = client.post(address, json={"sweep": {"base": SPEC, **sweep}, **others})
    assert answer.status_code == status, answer.text
    return answer.json()


def fields(problem: Any) -> list[str]:
    return [error["field"] for error in problem["errors"]]


def test_a_grid_of_3_x_2_x_2_seeds_launches_12_runs_in_one_study(
    client: TestClient, bell: FakeBell
) -> None:
    study = post(client, {"space": SPACE, "seeds": 2}, name="Which rate?", priority=3)
    assert study["name"] == "Which rate?"
    assert len(study["runs"]) == 12
    assert study["counts"] == {"queued": 12}
    first, second = study["runs"][:2]
    assert first["name"] == "lr 0.1, batch size 8, seed 0"
    assert second["name"] == "lr 0.1, batch size 8, seed 1"
    assert second["spec"]["training"]["seed"] == 1
    assert {run["priority"] for run in study["runs"]} == {3}
    assert len({run["name"] for run in study["runs"]}) == 12
    assert study["sweep"]["fields"] == ["optimizer.lr", "training.batch_size", "training.seed"]
    assert study["sweep"]["search"] is None
    assert "train" in bell.rings


def test_a_dry_run_counts_and_names_and_launches_nothing(
    client: TestClient, bell: FakeBell
) -> None:
    told = post(client, {"space": SPACE, "seeds": 2}, 200, dry_run=True)
    assert told["runs_total"] == 12
    assert told["summary"] == "12 runs: 3 × 2 × 2 seeds."
    assert told["names"][0] == "lr 0.1, batch size 8, seed 0"
    assert told["name"] == "Grid over lr, batch size on digits"
    assert client.get("/api/v1/studies").json()["studies"] == []
    assert client.get("/api/v1/runs").json()["runs"] == []
    assert bell.rings == []


def test_a_sweep_may_come_as_yaml(client: TestClient) -> None:
    text = """
sweep:
  base: {dataset: {name: digits}, model: {architecture: tuneboard/small_cnn, weights: none}}
  kind: random
  runs: 4
  space:
    optimizer.lr: {low: 1.0e-4, high: 1.0e-1, log: true}
"""
    answer = client.post(
        "/api/v1/studies", content=text, headers={"content-type": "application/yaml"}
    )
    assert answer.status_code == 201, answer.text
    rates = [run["spec"]["optimizer"]["lr"] for run in answer.json()["runs"]]
    assert len(set(rates)) == 4
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)


def test_what_is_wrong_is_named_by_its_place_in_the_sweep(client: TestClient) -> None:
    wrong = post(client, {"space": {"optimizer.lr": [0.1, 0.01, 30]}}, 422)
    assert fields(wrong) == ["sweep.space.optimizer.lr.2"]
    assert fields(post(client, {"space": {"optimizer.rate": [1]}}, 422)) == [
        "sweep.space.optimizer.rate"
    ]
    datasets = {"space": {"dataset.name": ["digits", "digit"]}}
    [error] = post(client, datasets, 422)["errors"]
    assert error["field"] == "sweep.space.dataset.name.1"
    assert "`digits`" in error["remedy"]
    assert fields(post(client, {"space": SPACE, "kind": "search", "seeds": 2}, 422)) == [
        "sweep.seeds"
    ]
    assert fields(post(client, {"space": SPACE}, 422, runs=[SPEC])) == ["runs"]
    assert fields(post(client, {"space": SPACE, "sed": 1}, 422)) == ["sweep.sed"]
    assert client.get("/api/v1/studies").json()["studies"] == []


def test_a_study_without_a_sweep_needs_a_name_and_has_no_dry_run(client: TestClient) -> None:
    answer = client.post("/api/v1/studies", json={"runs": [SPEC]})
    assert (answer.status_code, fields(answer.json())) == (422, ["name"])
    answer = client.post("/api/v1/studies?dry_run=true", json={"name": "s", "runs": [SPEC]})
    assert (answer.status_code, fields(answer.json())) == (422, ["dry_run"])


def test_too_many_runs_are_refused_with_what_to_do(client: TestClient) -> None:
    space = {"training.batch_size": {"low": 1, "high": 150, "step": 1}, "optimizer.lr": [1e-3] * 1}
    space["training.seed"] = {"low": 1, "high": 100, "step": 1}
    [error] = post(client, {"space": space}, 422)["errors"]
    assert error["field"] == "sweep.space"
    assert "1,000" in error["expected"]
    assert "kind: random" in error["remedy"]


def test_a_search_is_launched_without_a_run_and_told_how_far_it_is(
    client: TestClient, store: Store, bell: FakeBell
) -> None:
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}}
    study = post(client, {"space": space, "kind": "search", "search": {"trials": 2}})
    assert study["runs"] == []
    assert not study["is_over"]
    assert "interactive" in bell.rings
    assert study["name"] == "Search over lr on digits"
    question = searches.look(store, study["id"])
    assert question is not None
    [run_id] = searches.take(store, question, [[0.01]], []).run_ids
    from store.datasets import dataset_ready, get_dataset

    row = get_dataset(store, "digits")
    assert dataset_ready(store, row.id, "f" * 8, {"classes": ["0", "1"]})
    claim = lifecycle.claim(store, "w", device="cpu", lease_s=60)
    assert claim is not None
    told = [epoch(1, val_accuracy=0.75)]
    lifecycle.record(store, run_id, claim.attempt, lease_s=60, events=told)
    lifecycle.finish(store, run_id, claim.attempt, "succeeded")
    searches.look(store, study["id"])
    search = client.get(f"/api/v1/studies/{study['id']}").json()["sweep"]["search"]
    assert (search["state"], search["budget"], search["ended"]) == ("searching", 2, 1)
    assert search["best"] == {
        "number": 1,
        "run": run_id,
        "state": "complete",
        "value": 0.75,
        "reason": "",
    }


def test_a_ladder_launches_its_probes_and_says_what_follows(client: TestClient) -> None:
    base = {
        **SPEC,
        "model": {"architecture": "timm/tf_efficientnet_lite0", "weights": "package"},
    }
    ladder = {
        "probe": {"freeze": {"layers": "backbone"}, "training": {"epochs": 1}},
        "keep": 2,
        "promote": {"freeze": {"layers": "none"}, "training": {"epochs": 5}},
    }
    sweep = {"base": base, "kind": "ladder", "ladder": ladder}
    sweep["space"] = {
        "model.architecture": ["timm/tf_efficientnet_lite0", "timm/tf_efficientnet_lite1"],
        "optimizer.lr": [0.1, 0.01],
    }
    told = post(client, sweep, 200, dry_run=True)
    assert told["summary"] == "6 runs: 4 probes, then the best 2 promoted, 2 runs."
    assert told["names"][0] == "timm/tf_efficientnet_lite0, lr 0.1"
    study = post(client, sweep)
    assert [step["state"] for step in study["steps"]] == ["running", "waiting"]
    assert len(study["runs"]) == 4
    promoted = study["steps"][1]["runs"]
    assert [(run["rank"], run["metric"]) for run in promoted] == [
        (1, "best_val_accuracy"),
        (2, "best_val_accuracy"),
    ]
    assert promoted[0]["changes"] == ["freeze.layers none", "training.epochs 5"]


def test_the_openapi_description_holds_the_sweep(client: TestClient) -> None:
    described = client.get("/openapi.json")
    if described.status_code == 404:
        described = client.get("/api/v1/openapi.json")
    body = described.json()["paths"]["/api/v1/studies"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    kinds = schema["properties"]["sweep"]["anyOf"][0]["properties"]
    assert {"base", "space", "kind", "seeds", "search", "ladder"} <= kinds.keys()
    assert "components/schemas/Sweep" not in str(schema)
