"""What the Launch page's script asks after each change."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.pages import send
from tests.app.test_pages_launch import FORM


def ask(client: TestClient, source: str, **fields: str) -> dict[str, Any]:
    answer = send(client, "/launch/sync", source=source, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told: dict[str, Any] = answer.json()
    return told


def test_what_is_typed_into_the_form_is_told_as_yaml(client: TestClient) -> None:
    told = ask(client, "form", **FORM, **{"optimizer.lr": "1e-4"})
    assert "lr: 0.0001" in told["yaml"]
    assert "epochs: 3" in told["yaml"]
    assert told["values"] is None
    assert told["errors"] == []
    assert told["notes"] == {}
    assert told["spec"]["optimizer"]["lr"] == 1e-4


def test_what_is_written_as_yaml_is_told_as_values(client: TestClient) -> None:
    text = "dataset: {name: digits}\nmodel: {architecture: tuneboard/small_cnn, weights: none, "
    text += "head: {hidden: [64, 32]}}\nfreeze: {layers: none}\n"
    told = ask(client, "yaml", spec_yaml=text, **{"optimizer.lr": "7"})
    assert told["yaml"] is None
    assert told["values"]["model.head.hidden"] == "64, 32"
    assert told["values"]["optimizer.lr"] == "0.001"
    assert told["spec"]["model"]["head"]["hidden"] == [64, 32]


def test_what_is_wrong_in_the_form_is_told_beside_its_field(client: TestClient) -> None:
    told = ask(client, "form", **{**FORM, "model.head.hidden": "64, wide", "dataset.name": ""})
    assert set(told["notes"]) == {"model.head.hidden", "dataset.name"}
    assert 'id="f-model-head-hidden-error"' in told["notes"]["model.head.hidden"]
    assert told["spec"] is None
    assert "wide" in told["yaml"]
    assert 'href="#f-dataset-name"' in told["summary"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dataset: {name: digits}\noptimizer: {lr: 30}\n", ["optimizer.lr", "30", "10"]),
        ("dataset: {name: digits}\nlearning_rate: 1\n", ["learning_rate", "Known here"]),
        ("dataset: [", ["YAML"]),
        ("", ["mapping"]),
        ("dataset: {name: <script>}\nmodel: {architecture: <b>}", ["model.architecture"]),
    ],
)
def test_a_wrong_yaml_is_told_by_field_value_and_remedy(
    client: TestClient, text: str, told: list[str]
) -> None:
    answer = ask(client, "yaml", spec_yaml=text)
    assert answer["values"] is None
    assert answer["yaml"] is None  # so the page keeps the text
    assert answer["notes"] == {}
    words = " ".join(error["message"] for error in answer["errors"])
    for word in told:
        assert word in words
    assert "<b>" not in answer["summary"]
    assert "<script" not in answer["summary"]


def test_a_dataset_that_is_not_here_is_told_but_the_spec_is_one(client: TestClient) -> None:
    told = ask(client, "form", **{**FORM, "dataset.name": "digitz"})
    assert told["spec"]["dataset"]["name"] == "digitz"
    assert set(told["notes"]) == {"dataset.name"}


def test_asking_needs_the_pages_token(client: TestClient) -> None:
    assert client.post("/launch/sync", data={**FORM, "source": "form"}).status_code == 403
    assert client.get("/launch/sync").status_code == 405


def test_without_scripts_the_form_is_checked_by_a_button(client: TestClient) -> None:
    good = send(client, "/launch/check", **FORM, spec_yaml="old", note="keep me")
    assert good.status_code == 200
    assert "epochs: 3" in good.text
    assert "keep me" in good.text
    assert ">old<" not in good.text
    bad = send(client, "/launch/check", **{**FORM, "optimizer.lr": "x"})
    assert bad.status_code == 422
    assert 'id="errors"' in bad.text
