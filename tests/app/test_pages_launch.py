from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from store.database import Store
from store.runs import create_run, list_runs
from store.settings import Settings
from tests.app.pages import check, page, send, text_of
from tests.seeding import SCRIPT_NAME, add_digits, run_spec

FORM = {
    "dataset.name": "digits",
    "model.architecture": "tuneboard/small_cnn",
    "model.weights": "none",
    "training.epochs": "3",
}


def control(soup: BeautifulSoup, path: str) -> Any:
    return soup.find(attrs={"name": path})


def value(soup: BeautifulSoup, path: str) -> str:
    found = control(soup, path)
    if found.name == "select":
        chosen = found.select_one("option[selected]") or found.option
        return chosen.get("value", chosen.text)
    return found.get("value", "")


def test_the_form_shows_labels_help_bounds_units_and_defaults(client: TestClient) -> None:
    soup = page(client, "/launch")
    rate = control(soup, "optimizer.lr")
    assert soup.find("label", attrs={"for": rate["id"]}).text == "Learning rate"
    assert (rate["type"], rate["min"], rate["max"], rate["value"]) == ("number", "0", "10", "0.001")
    assert rate["step"] == "any"
    assert "Size of the first steps" in text_of(soup.find(id=f"{rate['id']}-help"))
    epochs = control(soup, "training.epochs")
    assert (epochs["step"], epochs["min"], epochs["max"]) == ("1", "1", "10000")
    assert "epochs" in text_of(epochs.parent)
    assert [option.text for option in control(soup, "optimizer.name").find_all("option")] == [
        "sgd",
        "adam",
        "adamw",
        "rmsprop",
    ]
    momentum = control(soup, "optimizer.momentum").find_parent(attrs={"data-applies-when": True})
    assert momentum["data-applies-when"] == '{"optimizer.name": ["sgd", "rmsprop"]}'
    assert control(soup, "model.architecture")["list"] == "architectures"
    assert [legend.text for legend in soup.select("#launch-form legend")] == [
        "Data",
        "Model",
        "What to train",
        "How to train",
        "When to stop",
        "This run",
    ]


def test_datasets_to_choose_from_are_those_here_and_those_of_the_catalogue(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    options = control(page(client, "/launch"), "dataset.name").find_all("option")
    assert [option["value"] for option in options][:2] == ["digits", "hymenoptera"]
    assert {"cifar10", "food101"} <= {option["value"] for option in options}
    assert text_of(options[1]) == "hymenoptera (prepared on first use)"
    assert value(page(client, "/launch?dataset=hymenoptera"), "dataset.name") == "hymenoptera"


def test_a_valid_form_queues_a_run_and_leads_to_it(
    client: TestClient, store: Store, bell: Any
) -> None:
    answer = send(client, "/launch", **FORM, name="from the form", priority="7", note="why not")
    assert answer.status_code == 303, answer.text
    (run,) = list_runs(store).rows
    assert answer.headers["location"] == f"/runs/{run.id}"
    assert (run.name, run.priority, run.note, run.status) == (
        "from the form",
        7,
        "why not",
        "queued",
    )
    assert run.spec["training"]["epochs"] == 3
    assert run.spec["optimizer"]["lr"] == 1e-3  # a default that was left alone
    assert "train" in bell.rings


@pytest.mark.parametrize(
    ("path", "typed", "told"),
    [
        ("optimizer.lr", "30", "10"),
        ("optimizer.lr", "fast", "number"),
        ("training.epochs", "0", "1"),
        ("training.epochs", "", None),
        ("model.architecture", "resnet19", "Did you mean"),
        ("dataset.name", "digitz", "digits"),
        ("model.head.hidden", "256, wide", "integer"),
        ("priority", "soon", "whole number"),
    ],
)
def test_bad_input_is_shown_beside_its_field_and_everything_typed_is_kept(
    client: TestClient, store: Store, path: str, typed: str, told: str | None
) -> None:
    sent = {**FORM, "name": SCRIPT_NAME, "note": "keep & me", path: typed}
    answer = send(client, "/launch", **sent)
    if told is None:
        assert answer.status_code == 303  # an empty control means the default
        return
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    wrong = control(soup, path)
    assert wrong["aria-invalid"] == "true"
    error_id = wrong["aria-describedby"].split()[-1]
    assert told in text_of(soup.find(id=error_id))
    assert len(soup.select('[aria-invalid="true"]')) == 1
    for name, text in sent.items():
        assert value(soup, name) == text, name
    summary = soup.select_one("#errors")
    assert summary["role"] == "alert"
    assert told in text_of(summary)
    assert list_runs(store).rows == []


def test_several_errors_are_all_shown_and_linked(client: TestClient) -> None:
    answer = send(client, "/launch", **{**FORM, "optimizer.lr": "-1", "training.batch_size": "x"})
    soup = BeautifulSoup(answer.text, "html.parser")
    links = [link["href"] for link in soup.select("#errors a")]
    assert links == ["#f-optimizer-lr", "#f-training-batch_size"]
    assert all(soup.select_one(link) for link in links)


def test_a_field_that_does_not_apply_is_refused_where_it_was_typed(client: TestClient) -> None:
    answer = send(
        client, "/launch", **{**FORM, "optimizer.name": "adam", "optimizer.momentum": "0.9"}
    )
    soup = BeautifulSoup(answer.text, "html.parser")
    assert control(soup, "optimizer.momentum")["aria-invalid"] == "true"


def test_an_empty_form_asks_for_a_dataset(client: TestClient) -> None:
    answer = send(client, "/launch")
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    assert control(soup, "dataset.name")["aria-invalid"] == "true"


def test_cloning_fills_the_form_with_the_runs_spec(client: TestClient, store: Store) -> None:
    spec = run_spec(
        "the original",
        optimizer={"name": "adam", "lr": 0.05},
        model={
            "architecture": "tuneboard/small_cnn",
            "weights": "none",
            "head": {"hidden": [64, 32]},
        },
    )
    run, _ = create_run(store, spec, owner="ann", priority=3)
    soup = page(client, f"/launch?from={run.id}")
    assert value(soup, "name") == "the original"
    assert value(soup, "optimizer.name") == "adam"
    assert value(soup, "optimizer.lr") == "0.05"
    assert value(soup, "model.head.hidden") == "64, 32"
    assert value(soup, "priority") == "3"
    assert soup.select_one(f'a[href="/runs/{run.id}"]')
    fields = {
        tag["name"]: value(soup, tag["name"])
        for tag in soup.select("#launch-form input[name], #launch-form select[name]")
        if tag["name"] != "csrf_token"
    }
    answer = send(client, "/launch", **fields)
    assert answer.status_code == 303, answer.text
    assert list_runs(store).rows[0].spec == run.spec
    page(client, "/launch?from=999", 404)


def test_a_pasted_spec_is_launched(client: TestClient, store: Store) -> None:
    text = "name: pasted\ndataset: {name: digits}\nmodel: {architecture: tuneboard/small_cnn, "
    answer = send(client, "/launch", spec_yaml=text + "weights: none}\n", source="yaml")
    assert answer.status_code == 303, answer.text
    assert list_runs(store).rows[0].name == "pasted"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dataset: {name: digits}\nlearning_rate: 1\n", "learning_rate"),
        ("dataset: [", "YAML"),
        ("just words", "mapping"),
    ],
)
def test_a_bad_pasted_spec_is_kept_with_what_is_wrong(
    client: TestClient, text: str, told: str
) -> None:
    answer = send(client, "/launch", spec_yaml=text, source="yaml", note="keep me")
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    assert told in text_of(soup.select_one("#yaml-errors"))
    assert soup.select_one("#spec-yaml").text.strip() == text.strip()
    assert soup.select_one("#spec-yaml")["aria-invalid"] == "true"
    assert value(soup, "note") == "keep me"


def test_launching_needs_the_pages_token(client: TestClient, store: Store) -> None:
    assert client.post("/launch", data=FORM).status_code == 403
    assert list_runs(store).rows == []
