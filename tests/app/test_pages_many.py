"""Many at once on the Launch page: counted, named, launched, refused with nothing lost."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from store import searches, studies
from store.database import Store
from tests.app.pages import check, page, send, text_of, texts

SPACE = "optimizer.lr: [0.1, 0.01, 0.001]\ntraining.batch_size: [8, 16]"
MANY = {
    "dataset.name": "digits",
    "model.architecture": "tuneboard/small_cnn",
    "model.weights": "none",
    "many_kind": "grid",
    "many_seeds": "2",
    "many_space": SPACE,
}


def post(client: TestClient, address: str = "/launch/many", **changes: str) -> Any:
    return send(client, address, **{**MANY, "many_act": "launch", **changes})


def soup_of(answer: Any) -> BeautifulSoup:
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    return soup


def test_a_grid_of_3_x_2_x_2_seeds_is_launched_and_its_study_shown(
    client: TestClient, store: Store
) -> None:
    answer = post(client, many_name="Which rate?", note="why", priority="3")
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/studies/1"
    study = studies.get_study(store, 1)
    assert (study.name, study.note, len(study.run_ids)) == ("Which rate?", "why", 12)
    assert study.sweep is not None
    assert study.sweep.paths == ["optimizer.lr", "training.batch_size", "training.seed"]


def test_the_count_and_the_names_are_shown_before(client: TestClient, store: Store) -> None:
    alone = BeautifulSoup(post(client, "/parts/launch/many").text, "html.parser")
    assert "12 runs: 3 × 2 × 2 seeds." in text_of(alone)
    assert alone.find(attrs={"data-many-count": "12"})
    assert texts(alone.select("li"))[0] == "lr 0.1, batch size 8, seed 0"
    assert studies.list_studies(store) == []


def test_nothing_is_called_wrong_before_anything_is_typed(client: TestClient) -> None:
    untouched = post(client, "/parts/launch/many", many_space=" ", many_seeds="1")
    assert text_of(soup_of(untouched)) == "Add a field, or seeds, to see how many runs that makes."
    launched = soup_of(post(client, many_space=" ", many_seeds="1"))
    assert "at least one field" in text_of(launched.find(attrs={"data-many-errors": True}))


def test_without_scripts_a_button_shows_the_runs_and_the_form_as_typed(
    client: TestClient, store: Store
) -> None:
    answer = post(client, many_act="preview", many_name="a name")
    assert answer.status_code == 200
    soup = soup_of(answer)
    assert "12 runs: 3 × 2 × 2 seeds." in text_of(soup.find(id="many-preview"))
    assert text_of(soup.find(id="many_space")) == " ".join(SPACE.split())
    assert soup.find(id="many_name")["value"] == "a name"
    assert soup.find(id="f-model-architecture")["value"] == "tuneboard/small_cnn"
    assert soup.find(id="many").has_attr("open")
    assert studies.list_studies(store) == []


def test_what_is_wrong_is_named_and_nothing_typed_is_lost(client: TestClient, store: Store) -> None:
    answer = post(client, many_space="optimizer.lr: [0.1, 30]")
    assert answer.status_code == 422
    soup = soup_of(answer)
    assert "sweep.space.optimizer.lr.1" in text_of(soup.find(attrs={"data-many-errors": True}))
    assert "[0.1, 30]" in text_of(soup.find(id="many_space"))
    for wrong in ("[1, 2]", "{", "nonsense", "optimizer.lr: 1"):
        answer = post(client, many_space=wrong)
        assert answer.status_code == 422, wrong
        assert "sweep.space" in text_of(soup_of(answer).find(id="many-preview"))
    assert studies.list_studies(store) == []


@pytest.mark.parametrize("kind", ["grid", "random", "search", "ladder"])
def test_a_study_of_any_kind_gets_its_note_and_webhook(
    client: TestClient, store: Store, kind: str
) -> None:
    told = {"many_note": "**Why** so many?", "many_webhook": "https://lab.example/x"}
    told |= {"many_webhook_runs": "yes", "many_probe": "training: {epochs: 1}"}
    answer = post(client, many_kind=kind, many_runs="4", many_keep="2", **told)
    assert answer.status_code == 303, answer.text
    study = studies.get_study(store, 1)
    assert (study.note, study.webhook_url) == ("**Why** so many?", "https://lab.example/x")
    assert study.webhook_runs_since is not None


def test_a_bad_webhook_is_named_at_its_field_and_nothing_typed_is_lost(
    client: TestClient, store: Store
) -> None:
    typed = {"many_note": "kept", "many_webhook": "ftp://lab", "many_webhook_runs": "yes"}
    answer = post(client, **typed, many_name="a name")
    assert answer.status_code == 422
    soup = soup_of(answer)
    hook = soup.find(id="many_webhook")
    assert (hook["value"], hook["aria-invalid"]) == ("ftp://lab", "true")
    assert "https://example.org/hook" in text_of(soup.find(id="many_webhook-error"))
    assert "`webhook`" in text_of(soup.find(id="errors"))
    assert soup.find(id="many-words").has_attr("open")
    assert text_of(soup.find(id="many_note")) == "kept"
    assert soup.find(id="many_webhook_runs").has_attr("checked")
    assert soup.find(id="many_name")["value"] == "a name"
    assert "12 runs" in text_of(soup.find(id="many-preview"))
    too_long = soup_of(post(client, many_note="x" * 20_001))
    assert "at most 20000 characters" in text_of(too_long.find(id="many_note-error"))
    assert studies.list_studies(store) == []


def test_a_wrong_priority_is_named_not_replaced(client: TestClient, store: Store) -> None:
    soup = soup_of(post(client, priority="soon"))
    assert soup.find(id="f-priority")["value"] == "soon"
    assert "a whole number" in text_of(soup.find(id="f-priority-error"))
    assert studies.list_studies(store) == []


def test_what_is_typed_for_many_outlives_a_mistake_in_launching_one(client: TestClient) -> None:
    typed = {"many_space": "", "many_note": "kept", "optimizer.lr": "70", "source": "form"}
    soup = soup_of(post(client, "/launch", **typed))
    assert text_of(soup.find(id="many_note")) == "kept"
    assert soup.find(id="many").has_attr("open")


def test_a_search_and_a_ladder_are_launched_from_the_form(client: TestClient, store: Store) -> None:
    space = "optimizer.lr: {low: 0.001, high: 0.1, log: true}"
    answer = post(client, many_kind="search", many_trials="7", many_space=space, many_seeds="9")
    assert answer.status_code == 303, answer.text
    row = studies.get_study(store, 1).sweep
    assert row is not None
    assert (row.kind, row.sweep["search"]["trials"], row.sweep["seeds"]) == ("search", 7, 1)
    answer = post(
        client,
        many_kind="ladder",
        many_keep="2",
        many_seeds="1",
        many_probe="training: {epochs: 1}",
        many_promote="training: {epochs: 4}",
    )
    assert answer.status_code == 303, answer.text
    study = studies.get_study(store, 2)
    assert [step.name for step in study.steps] == ["probe", "promoted"]
    assert len(study.run_ids) == 6


def test_an_untouched_page_offers_every_field_but_the_name(client: TestClient) -> None:
    soup = page(client, "/launch")
    offered = [option["value"] for option in soup.select("#many-path option")]
    assert {"optimizer.lr", "model.architecture", "freeze.layers"} <= set(offered)
    assert "name" not in offered
    assert not soup.find(id="many").has_attr("open")
    first = soup.find(id="launch-form").find("button", attrs={"type": None})
    assert text_of(first) == "Launch"  # the one that Enter presses


def test_the_studys_page_shows_how_far_its_search_is(client: TestClient, store: Store) -> None:
    space = "optimizer.lr: {low: 0.001, high: 0.1, log: true}"
    post(client, many_kind="search", many_trials="7", many_space=space)
    soup = page(client, "/studies/1")
    assert "0 of 7 trials have ended" in text_of(soup.find(id="study-search"))
    question = searches.look(store, 1)
    assert question is not None
    searches.take(store, question, [[0.01]], [])
    part = BeautifulSoup(client.get("/parts/studies/1").text, "html.parser")
    assert "running" in text_of(part.find(id="search-trials"))
    assert soup.find(id="stop-waiting")
    stopped = send(client, "/studies/1/stop", what="all")
    assert stopped.status_code == 303
    assert searches.look(store, 1) is None
    soup = page(client, "/studies/1")
    assert "stopped the study" in text_of(soup.find(id="study-search"))
