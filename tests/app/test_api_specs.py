from __future__ import annotations

from tests.app.conftest import SPEC, assert_problem
from trainer.parsing import parse_spec, parse_spec_text


def test_the_schema_carries_labels_bounds_and_defaults(client):
    schema = client.get("/api/v1/spec/schema").json()
    lr = schema["$defs"]["OptimizerSpec"]["properties"]["lr"]
    assert (lr["title"], lr["default"], lr["maximum"]) == ("Learning rate", 0.001, 10)


def test_validating_fills_in_the_defaults_and_launches_nothing(client, bell):
    answer = client.post("/api/v1/spec/validate", json=SPEC)
    assert answer.status_code == 200, answer.text
    valid = answer.json()
    assert valid["name"] == "small_cnn from scratch"
    assert parse_spec(valid["spec"]) == parse_spec(SPEC) == parse_spec_text(valid["yaml"])
    assert client.get("/api/v1/datasets").json()["datasets"] == []
    assert bell.rings == []


def test_validating_finds_what_only_the_server_knows(client):
    body = {**SPEC, "dataset": {"name": "nowhere"}, "model": {"weights": "/nowhere.pt"}}
    problem = assert_problem(client.post("/api/v1/spec/validate", json=body), 422)
    assert {error["field"] for error in problem["errors"]} == {"dataset.name", "model.weights"}
    assert_problem(client.get("/api/v1/spec/validate"), 405)


def test_architectures_are_found_by_words(client):
    found = client.get("/api/v1/architectures", params={"q": "Efficientnet lite0"}).json()
    names = [entry["name"] for entry in found["architectures"]]
    assert "timm/tf_efficientnet_lite0" in names
    assert found["total"] == len(names)
    first = client.get("/api/v1/architectures", params={"q": "resnet18", "limit": 1}).json()
    assert first["architectures"][0]["name"].rpartition("/")[2].startswith("resnet18")
    assert first["total"] > 1
    assert client.get("/api/v1/architectures", params={"q": "zzz"}).json()["total"] == 0
    assert_problem(client.get("/api/v1/architectures", params={"limit": 0}), 422)
