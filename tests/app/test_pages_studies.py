"""The page of a study with steps."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from store import jobs, steps
from store.database import Store
from tests.app.conftest import SPEC
from tests.app.pages import page, send, text_of
from tests.seeding import SCRIPT_NAME, Teller, add_digits, claim

RUNS = [{**SPEC, "name": "first"}, {**SPEC, "name": SCRIPT_NAME, "optimizer": {"lr": 0.5}}]
BEST = {"from": "best_of(sweep, best_val_accuracy)", "training": {"epochs": 3}}
STEPS: list[dict[str, Any]] = [
    {"name": "sweep", "runs": RUNS},
    {"name": "longer", "runs": [BEST]},
    {
        "name": "vote",
        "when_failed": "stop",
        "vote": {
            "of": ["sweep"],
            "preferred": "first",
            "reported": [{"metric": "accuracy", "value": 0.9188, "kind": "measured"}],
        },
    },
]


def launch(client: TestClient) -> dict[str, Any]:
    answer = client.post("/api/v1/studies", json={"name": "In steps", "steps": STEPS})
    assert answer.status_code == 201, answer.text
    study: dict[str, Any] = answer.json()
    return study


def train(store: Store, run_id: int, top: float) -> None:
    teller = Teller(store, run_id, claim(store, run_id), epochs=2, top=top)
    teller.whole()
    steps.advance(store)


def test_a_study_in_steps_says_what_waits_for_what(client, store, settings):
    add_digits(store, settings)
    study = launch(client)
    soup = page(client, f"/studies/{study['id']}")
    assert [text_of(one) for one in soup.select("#study-steps h3")] == ["sweep", "longer", "vote"]
    [sweep, longer, vote] = [text_of(one) for one in soup.select("#study-steps > ol > li")]
    assert "Running" in sweep
    assert "Waits for no other step." in sweep
    assert SCRIPT_NAME in sweep
    assert "Waiting" in longer
    assert "Waits for sweep." in longer
    assert "If one of its runs fails or is cancelled, later steps go on without it." in longer
    assert "Begins with the spec of the best run of sweep by best_val_accuracy." in longer
    assert "Changes training.epochs 3." in longer
    assert "Majority vote of first, <script>" in vote
    assert "If its vote fails, the steps that wait for it are skipped." in vote
    assert not soup.find("script", string=lambda text: text and "alert(1)" in text)
    assert "more may follow" in text_of(soup)


def test_it_shows_what_was_chosen_and_what_the_vote_came_to(client, store, settings):
    add_digits(store, settings)
    study = launch(client)
    first, second = (run["id"] for run in study["runs"])
    train(store, first, 0.6)
    train(store, second, 0.9)
    part = page(client, f"/parts/studies/{study['id']}")
    longer = text_of(part.select("#study-steps > ol > li")[1])
    assert f"run {second}, {SCRIPT_NAME}" in longer
    assert f"Run {second} : " in longer
    assert "(chosen)" in longer
    told = client.get(f"/api/v1/studies/{study['id']}").json()
    [run] = told["steps"][1]["runs"]
    assert (run["chosen"], [one["run"] for one in run["values"]]) == (second, [first, second])
    assert (run["step"], run["metric"]) == ("sweep", "best_val_accuracy")
    train(store, run["run"], 0.9)
    job = jobs.claim_job(store, 60)
    members = [{"run": str(first), "accuracy": 0.6}, {"run": str(second), "accuracy": 0.9}]
    assert jobs.job_succeeded(
        store, job, {"accuracy": 0.875, "samples": 360, "members": members, "file": "votes.csv"}
    )
    for address in (f"/studies/{study['id']}", "/studies"):
        assert "data-looks" in client.get(address).text
    steps.advance(store)
    for address in (f"/studies/{study['id']}", "/studies"):
        assert "data-looks" not in client.get(address).text
    soup = page(client, f"/studies/{study['id']}")
    vote = text_of(soup.select("#study-steps > ol > li")[2])
    assert "Accuracy 87.50% on 360 images" in vote
    assert f"Run {first} alone: 60.00%" in vote
    assert "91.88% (measured, device not told)" in vote
    told = client.get(f"/api/v1/studies/{study['id']}").json()
    assert told["is_over"]
    assert told["steps"][2]["vote"]["result"]["accuracy"] == 0.875


def test_cancelling_every_run_of_a_waiting_study_ends_it(client, store, settings):
    add_digits(store, settings)
    study = launch(client)
    first, second = (run["id"] for run in study["runs"])
    assert client.post(f"/api/v1/runs/{first}/cancel").status_code == 200
    assert send(client, f"/runs/{second}/cancel").status_code == 303
    told = client.get(f"/api/v1/studies/{study['id']}").json()
    assert told["is_over"]
    assert [step["state"] for step in told["steps"]] == ["ended", "skipped", "skipped"]
    soup = page(client, f"/studies/{study['id']}")
    assert "None of the 2 runs of step sweep succeeded." in text_of(soup)
    happened = f"run {first} was cancelled, run {second} was cancelled; later steps go on"
    assert happened in text_of(soup)
    assert "more may follow" not in text_of(soup)


def test_a_study_at_once_has_no_steps_and_an_unknown_one_no_part(client):
    study = client.post("/api/v1/studies", json={"name": "x", "runs": [SPEC]}).json()
    assert study["steps"] == []
    assert page(client, f"/studies/{study['id']}").find(id="study-steps") is None
    page(client, "/parts/studies/99", 404)
    assert client.post("/parts/studies/1").status_code in {403, 405}
