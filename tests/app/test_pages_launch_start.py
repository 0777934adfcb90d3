"""Ways to begin the launch form, as a browser without scripts takes them."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from store.database import Store
from store.rows import DatasetRow
from store.runs import create_run, list_runs
from tests.app.pages import check, page, send, text_of, token
from tests.app.test_pages_launch import FORM, control, value
from tests.seeding import run_spec

GUIDE = "/launch?size=small&similarity=similar&weights=package"


def upload(client: TestClient, content: bytes, name: str = "spec.yaml") -> Any:
    return client.post(
        "/launch/file",
        data={"csrf_token": token(client)},
        files={"spec_file": (name, content, "application/yaml")},
    )


def test_the_guide_fills_the_form_and_says_why(client: TestClient) -> None:
    soup = page(client, f"{GUIDE}&dataset=hymenoptera")
    assert value(soup, "dataset.name") == "hymenoptera"
    assert value(soup, "model.architecture") == "timm/tf_efficientnet_lite0"
    assert value(soup, "model.weights") == "package"
    assert value(soup, "freeze.layers") == "backbone"
    advice = text_of(soup.select_one("#guide-advice"))
    assert "head alone" in advice
    assert "freeze.layers: backbone" in advice
    assert soup.select_one("#guide").has_attr("open")
    assert soup.select_one("#guide-size-small").has_attr("checked")
    assert "few" in text_of(soup.select_one("#guide .help"))
    assert not soup.select("[data-was]")
    page(client, "/launch?size=huge&similarity=similar", 422)


def test_the_guide_guesses_the_size_from_the_dataset(
    client: TestClient, pictures: DatasetRow
) -> None:
    soup = page(client, "/launch?dataset=pictures")
    assert "pictures has 9 images to train on: few." in text_of(soup.select_one("#guide"))
    soup = page(client, "/launch?dataset=food101")
    assert soup.select_one("#guide-size-large").has_attr("checked")


def test_a_script_is_told_what_the_guide_sets(client: TestClient) -> None:
    answer = client.get("/launch/guide?size=small&similarity=different&weights=download")
    told = answer.json()
    assert told["token"] == "guide:small:different:download"  # noqa: S105
    assert told["values"]["model.head.tap"] == "layer3"
    assert "dataset.name" not in told["defaults"]
    assert "dataset.validation_count" not in told["defaults"]
    assert 'id="guide-advice"' in told["advice"]
    assert client.get("/launch/guide?size=x").status_code == 422


def test_what_changed_since_an_earlier_run_is_marked_after_an_error_too(
    client: TestClient, store: Store
) -> None:
    run, _ = create_run(store, run_spec("first", optimizer={"lr": 0.05}), owner="ann")
    soup = page(client, f"/launch?from={run.id}")
    assert not soup.select("[data-was]")
    base = soup.select_one("input[name=base]")["value"]
    assert base == f"run:{run.id}"
    changes = {"base": base, "optimizer.lr": "70", "loss.label_smoothing": "0.1"}
    answer = send(client, "/launch", **{**FORM, **changes})
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    rate = control(soup, "optimizer.lr").find_parent(attrs={"data-path": True})
    assert text_of(rate.select_one("[data-was]")) == "Changed; it was 0.05 ."
    smoothing = control(soup, "loss.label_smoothing").find_parent("details")
    assert smoothing.has_attr("open")
    assert f"run {run.id}, first" in text_of(soup.select_one(".lead"))


def test_one_of_a_recipes_runs_fills_the_form(client: TestClient) -> None:
    soup = page(client, "/launch")
    links = [link["href"] for link in soup.select(".recipe-runs a")]
    assert "/launch?recipe=s1-ants-and-bees&run=2" in links
    soup = page(client, "/launch?recipe=s1-ants-and-bees&run=2")
    assert value(soup, "name").startswith("1 flip")
    assert value(soup, "scheduler.step_epochs") == "7"
    assert "of the study" in text_of(soup.select_one(".lead"))
    page(client, "/launch?recipe=s1-ants-and-bees&run=900", 422)
    page(client, "/launch?recipe=nothing", 404)


def test_every_run_of_every_recipe_can_be_started_from(client: TestClient) -> None:
    links = [link["href"] for link in page(client, "/launch").select(".recipe-runs a")]
    for link in links[:: max(1, len(links) // 6)]:
        soup = page(client, link)
        assert value(soup, "model.architecture")


def test_a_file_fills_the_form(client: TestClient, store: Store) -> None:
    text = b"# mine\nname: from a file\ndataset: {name: digits}\ntraining: {epochs: 7}\n"
    answer = upload(client, text)
    assert answer.status_code == 200
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert value(soup, "name") == "from a file"
    assert value(soup, "training.epochs") == "7"
    assert "# mine" in soup.select_one("#spec-yaml").text
    assert list_runs(store).rows == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"dataset: {name: digits}\ntraining: {epochs: 0}\n", "training.epochs"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"x" * 300_000, "256 KiB"),
        (b"<script>alert(1)</script>", "mapping"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(client: TestClient, content: bytes, told: str) -> None:
    answer = upload(client, content)
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert told in text_of(soup.select_one("#yaml-errors"))


def test_no_file_is_asked_for_again(client: TestClient) -> None:
    answer = send(client, "/launch/file")
    assert answer.status_code == 422
    assert "Choose one first" in answer.text
    assert client.post("/launch/file", data={"spec_file": "a"}).status_code == 403


def test_a_base_that_is_gone_marks_nothing(client: TestClient) -> None:
    for base in ("run:999", "run:x", "recipe:a", "guide:x:y:z", "<script>", "run:" + "9" * 40):
        answer = send(client, "/launch", **{**FORM, "base": base, "optimizer.lr": "x"})
        assert answer.status_code == 422
        assert "data-was" not in answer.text
