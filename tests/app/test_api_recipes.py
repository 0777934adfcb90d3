from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from tests.app.conftest import SPEC, assert_problem
from tests.app.pages import check, page, send, text_of
from trainer.recipes import load_recipe, recipe_names

S1 = "s1-ants-and-bees"
LAUNCH = f"/api/v1/recipes/{S1}/launch"


def test_recipes_are_listed_and_shown(client):
    listed = client.get("/api/v1/recipes").json()["recipes"]
    assert [one["name"] for one in listed] == recipe_names()
    shown = client.get(f"/api/v1/recipes/{S1}").json()
    assert shown["title"] == load_recipe(S1).name
    assert (shown["dataset"], shown["runs_total"]) == ("hymenoptera", len(shown["runs"]))
    first = shown["runs"][0]
    assert first["reported"][0] == {
        "metric": "best_val_accuracy",
        "value": 0.941176,
        "kind": "measured",
        "device": "Colab GPU",
    }
    assert first["substitutable"]
    assert first["spec"]["dataset"]["name"] == "hymenoptera"


def test_a_launch_queues_every_run_with_what_was_reported(client, bell):
    answer = client.post(LAUNCH, json={})
    assert answer.status_code == 201, answer.text
    study = answer.json()
    assert answer.headers["location"] == f"/api/v1/studies/{study['id']}"
    assert [run["name"] for run in study["runs"]] == [run["name"] for run in load_recipe(S1).specs]
    assert study["runs"][0]["published"]["reported"][0]["value"] == 0.941176
    assert bell.rings == ["interactive", "train"]


def test_a_launch_takes_another_dataset_epochs_a_scale_and_substitutes(client):
    body = {"dataset": "digits", "epochs": 3, "scale": "small", "substitute": True}
    for run in client.post(LAUNCH, json=body).json()["runs"]:
        assert (run["dataset"], run["epochs"]) == ("digits", 3)
        assert run["spec"]["model"]["weights"] == "package"
        assert run["spec"]["dataset"]["input_size_px"] == 64
        assert run["name"].endswith("substitute, on digits, small scale")
        assert run["published"]["substitute"]


def test_a_launch_repeats_every_run_with_the_next_seeds(client):
    runs = client.post(LAUNCH, json={"seeds": 2}).json()["runs"]
    names = [run["name"] for run in load_recipe(S1).specs]
    assert [run["name"] for run in runs] == [
        f"{name}, seed {seed}" for seed in (0, 1) for name in names
    ]
    assert [run["spec"]["training"]["seed"] for run in runs] == [0] * len(names) + [1] * len(names)
    assert runs[len(names)]["published"] == runs[0]["published"] is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": "many"}, "epochs"),
        ({"scale": "tiny"}, "scale"),
        ({"seeds": 0}, "seeds"),
        ({"dataset": "nothing"}, "dataset"),
        ({"color": 1}, "color"),
    ],
)
def test_a_wrong_launch_is_refused_and_launches_nothing(client, bell, body, field):
    problem = assert_problem(client.post(LAUNCH, json=body), 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert client.get("/api/v1/runs").json()["runs"] == []
    assert bell.rings == []


def test_unknown_recipes_and_other_methods_are_refused(client):
    problem = assert_problem(client.get("/api/v1/recipes/s1-ants-and-bee"), 404)
    assert S1 in problem["remedy"]
    assert_problem(client.post("/api/v1/recipes/nothing/launch", json={}), 404)
    assert_problem(client.get(LAUNCH), 405)
    assert_problem(client.post("/api/v1/recipes", json={}), 405)
    assert_problem(client.post(LAUNCH, content=b"x"), 415)


def test_comparisons_show_what_was_reported_and_that_a_substitute_is_one(client):
    runs = client.post(LAUNCH, json={}).json()["runs"]
    others = client.post(LAUNCH, json={"substitute": True}).json()["runs"]
    address = f"?run={runs[0]['id']}&run={others[0]['id']}"
    theirs, ours = client.get("/api/v1/compare" + address).json()["table"]
    assert (theirs["substitute"], theirs["reported"][0]["value"]) == (False, 0.941176)
    assert theirs["reported_words"][0] == "best validation accuracy 94.12% (measured, Colab GPU)"
    assert (ours["substitute"], ours["reported"]) == (True, [])
    text = text_of(page(client, "/compare" + address).select_one("#compare-results table"))
    assert "Reported by the authors" in text
    assert "best validation accuracy 94.12% (measured, Colab GPU)" in text
    assert "Substitute: not comparable with what was reported" in text
    assert text.count("94.12%") == 1


def test_runs_outside_recipes_have_no_column_of_reported_numbers(client):
    run = client.post("/api/v1/runs", json=SPEC).json()
    assert run["published"] is None
    table = page(client, f"/compare?run={run['id']}").select_one("#compare-results table")
    assert "Reported by" not in text_of(table)


def test_a_study_of_ones_own_may_carry_reported_numbers(client):
    number = {"metric": "test_accuracy", "value": 0.5, "kind": "approximate", "device": ""}
    body = {"name": "x", "runs": [SPEC, SPEC], "published": [{"reported": [number]}, None]}
    runs = client.post("/api/v1/studies", json=body).json()["runs"]
    assert runs[0]["published"]["reported"] == [number]
    assert runs[1]["published"] is None
    body["published"] = [None]
    problem = assert_problem(client.post("/api/v1/studies", json=body), 422)
    assert problem["errors"][0]["field"] == "published"


def test_the_launch_page_launches_a_recipe_without_scripts(client):
    soup = page(client, "/launch")
    buttons = soup.select("#recipes button[name=recipe]")
    assert [button["value"] for button in buttons] == recipe_names()
    typed = {"recipe": S1, "recipe_dataset": "digits", "small": "on", "seeds": "2"}
    answer = send(client, "/launch/recipe", **typed)
    assert answer.history[0].status_code == 303 if answer.history else answer.status_code == 303
    runs = client.get("/api/v1/runs").json()["runs"]
    assert len(runs) == 2 * len(load_recipe(S1).runs)
    assert {run["dataset"] for run in runs} == {"digits"}
    assert all("small scale, seed " in run["name"] for run in runs)


def test_the_launch_page_gives_a_recipes_study_its_note_and_webhook(client):
    told = {"recipe_note": "# Mine", "recipe_webhook": "https://lab.example/x"}
    answer = send(client, "/launch/recipe", recipe=S1, recipe_dataset="digits", **told)
    assert answer.status_code == 303, answer.text
    study = client.get("/api/v1/studies/1").json()
    assert (study["note"], study["webhook"]) == ("# Mine", "https://lab.example/x")
    send(client, "/launch/recipe", recipe=S1, recipe_dataset="digits")
    assert client.get("/api/v1/studies/2").json()["note"] == load_recipe(S1).note


def test_a_recipe_that_is_refused_comes_back_as_typed_with_each_field_named(client):
    typed = {"recipe_dataset": "digits", "seeds": "many", "small": "on", "recipe_note": "kept"}
    typed |= {"recipe_webhook": "http://localhost/", "recipe_webhook_runs": "yes"}
    answer = send(client, "/launch/recipe", recipe=S1, **typed)
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert soup.find(id="recipes").has_attr("open")
    assert "TUNEBOARD_WEBHOOK_HOSTS" in text_of(soup.find(id="recipe_webhook-error"))
    assert "from 1 to 20" in text_of(soup.find(id="recipe-seeds-error"))
    assert soup.find(id="recipe_webhook")["value"] == "http://localhost/"
    assert soup.find(id="recipe-seeds")["value"] == "many"
    assert text_of(soup.find(id="recipe_note")) == "kept"
    assert soup.select_one("#recipe-dataset option[selected]")["value"] == "digits"
    ticked = [box["id"] for box in soup.select("#recipes input[type=checkbox][checked]")]
    assert ticked == ["recipe-small", "recipe_webhook_runs"]
    assert client.get("/api/v1/runs").json()["runs"] == []


def test_the_launch_page_says_what_is_wrong_with_a_recipe(client):
    answer = send(client, "/launch/recipe", recipe=S1, recipe_dataset="nothing")
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert "nothing" in text_of(soup.find(id="recipe-errors"))
    answer = send(client, "/launch/recipe", recipe=S1, seeds="many")
    assert answer.status_code == 422
    assert "from 1 to 20" in text_of(BeautifulSoup(answer.text, "html.parser"))
    assert send(client, "/launch/recipe", recipe="none").status_code == 404
    without_token = client.post("/launch/recipe", data={"recipe": S1})
    assert without_token.status_code == 403
    assert client.get("/api/v1/runs").json()["runs"] == []
