"""The Studies page and a study's page, read as their readers do."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import yaml
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from app.figures.best_so_far import best_so_far_figure, best_so_far_info
from app.markdown import markdown
from store import deliveries
from store.database import Store
from store.settings import Settings
from store.study_results import Member
from tests.app.pages import figure_of, page, send, text_of, texts
from tests.app.test_api_study_changes import launched, trained
from tests.seeding import SCRIPT_NAME, add_digits


def test_studies_are_listed_with_progress_and_best(
    client: TestClient, store: Store, settings: Settings
) -> None:
    assert "No studies yet" in text_of(page(client, "/studies"))
    add_digits(store, settings)
    study = launched(client, 3)
    trained(store, study["runs"][0]["id"], 0.8)
    soup = page(client, "/studies")
    [row] = soup.select("tr[data-study]")
    assert "Running" in text_of(row)
    assert "1 of 3 runs ended (2 queued · 1 succeeded)" in text_of(row)
    assert row.progress["value"] == "0.3333"
    best = client.get(f"/api/v1/studies/{study['id']}").json()["best"]["best_val_accuracy"]
    assert f"{best * 100:.2f} %" in text_of(row)
    assert soup.select_one('nav [aria-current="page"]').text == "Studies"
    assert page(client, "/parts/studies").select_one("#studies-region")
    assert "No study matches" in text_of(page(client, "/studies?q=nothing"))
    assert [tag["value"] for tag in page(client, "/studies?q=Rates").select("#filter-q")] == [
        "Rates"
    ]


def test_a_page_of_studies_leads_to_the_older_ones(client: TestClient, store: Store) -> None:
    from store.studies import create_study

    for number in range(27):
        create_study(store, f"study {number}", "ann")
    soup = page(client, "/studies?owner=ann")
    assert len(soup.select("tr[data-study]")) == 25
    older = soup.find("a", rel="next")["href"]
    assert "owner=ann" in older
    assert len(page(client, older).select("tr[data-study]")) == 2


def test_members_are_sorted_by_result_and_lead_to_a_comparison(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    study = launched(client, 3)
    first, second, third = (run["id"] for run in study["runs"])
    trained(store, first, 0.5)
    trained(store, second, 0.9)
    address = f"/studies/{study['id']}"

    def order(query: str = "") -> list[int]:
        return [
            int(row["data-run"]) for row in page(client, address + query).select("tr[data-run]")
        ]

    assert order() == [second, first, third]
    assert order("?sort=worst") == [first, second, third]
    assert order("?sort=newest") == [third, second, first]
    assert order("?page=2") == []
    assert client.get(address + "?sort=odd").status_code == 422
    soup = page(client, address)
    assert f"run={first}&run={second}" in soup.select_one("#compare-all")["href"]
    assert soup.select_one("#add a")["href"] == f"/launch?study={study['id']}&from={second}"


def test_the_note_is_markdown_and_harmless(client: TestClient) -> None:
    address = f"/studies/{launched(client)['id']}"
    text = "# Why\n\n**bold** " + SCRIPT_NAME + "\n\n[x](javascript:alert(1)) ![p](http://x/y.png)"
    assert send(client, f"{address}/note", name="Named", note=text).status_code == 303
    soup = BeautifulSoup(client.get(address).text, "html.parser")
    prose = soup.select_one(".prose")
    assert prose.h3.text == "Why"
    assert prose.strong.text == "bold"
    assert SCRIPT_NAME in text_of(prose)
    assert not prose.find("script")
    assert not prose.find("img")
    assert not [link for link in prose.select("a") if "javascript" in link["href"]]
    assert soup.select_one("#study-note").text.lstrip("\n") == text
    assert soup.h1.text == "Named"
    refused = send(client, f"{address}/note", name=" ", note="kept text")
    assert refused.status_code == 422
    assert "kept text" in refused.text
    assert "Must be 1 to 200 characters" in refused.text
    assert 'rel="noopener noreferrer nofollow"' in markdown("[a](https://x.example/)")


def test_forms_come_back_filled_with_what_is_wrong(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    study = launched(client)
    address = f"/studies/{study['id']}"
    other = launched(client)["runs"][0]["id"]
    for form, fields, said in (
        ("members", {"runs": "12, x"}, "numbers of runs, such as 12, 13"),
        ("members", {"runs": str(other)}, "belongs to study"),
        ("seeds", {"count": "77"}, "1 to 20"),
        ("webhook", {"webhook": "http://localhost/x"}, "the address of another machine"),
    ):
        answer = send(client, f"{address}/{form}", **fields)
        assert answer.status_code == 422, form
        assert said in answer.text
        assert next(iter(fields.values())) in answer.text
    free = client.post("/api/v1/runs", json=study["runs"][0]["spec"]).json()["id"]
    assert send(client, f"{address}/members", runs=f"#{free}").status_code == 303
    assert send(client, f"{address}/seeds", count="1").status_code == 303
    assert len(client.get(f"/api/v1{address}").json()["runs"]) == 5
    assert client.post(f"{address}/seeds", data={"count": "1"}).status_code == 403
    assert send(client, "/studies/99/note", name="x").status_code == 404


def test_a_run_is_launched_into_a_study(client: TestClient) -> None:
    study = launched(client)
    address = f"/launch?study={study['id']}&from={study['runs'][0]['id']}"
    form = BeautifulSoup(client.get(address).text, "html.parser").select_one("#launch-form")
    assert form.select_one('[name="study"]')["value"] == str(study["id"])
    fields = {"source": "yaml", "spec_yaml": yaml.safe_dump(study["runs"][0]["spec"])}
    refused = send(client, "/launch", study=str(study["id"]), **{**fields, "spec_yaml": "x: 1"})
    assert refused.status_code == 422
    assert f'name="study" value="{study["id"]}"' in refused.text
    assert send(client, "/launch", study=str(study["id"]), **fields).status_code == 303
    assert len(client.get(f"/api/v1/studies/{study['id']}").json()["runs"]) == 3
    assert client.get("/launch?study=99").status_code == 404


def test_a_search_says_how_many_of_its_trials_have_ended(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    base = {"dataset": {"name": "digits"}, "model": {"architecture": "tuneboard/small_cnn"}}
    sweep = {
        "kind": "search",
        "base": {**base, "model": {**base["model"], "weights": "none"}},
        "space": {"optimizer.lr": {"low": 0.001, "high": 0.1, "log": True}},
        "search": {"trials": 5},
    }
    answer = client.post("/api/v1/studies", json={"name": "Search", "sweep": sweep})
    assert answer.status_code == 201, answer.text
    shown = page(client, f"/studies/{answer.json()['id']}")
    assert "0 of 5 trials" in text_of(shown.select_one("#study-head"))
    assert page(client, "/studies").select_one("tr[data-study] progress")["value"] == "0.0000"


def test_stopping_says_stopped(client: TestClient, store: Store, settings: Settings) -> None:
    add_digits(store, settings)
    address = f"/studies/{launched(client)['id']}"
    assert page(client, address).select_one("#stop-waiting")
    assert send(client, f"{address}/stop", what="all").status_code == 303
    soup = page(client, address)
    assert "Stopped" in text_of(soup.select_one("#study-head"))
    assert not soup.select_one("#stop-all")
    assert send(client, f"{address}/stop", what="all").status_code == 409
    assert "Stopped" in text_of(page(client, "/studies?state=stopped").select_one("tbody"))


def test_the_webhook_shows_its_secret_and_what_became_of_each_delivery(
    client: TestClient, store: Store
) -> None:
    study = launched(client)
    address = f"/studies/{study['id']}"
    saved = send(client, f"{address}/webhook", webhook="https://lab.example/x", each_run="on")
    assert saved.status_code == 303
    soup = page(client, address)
    secret = client.get(f"/api/v1{address}/webhook").json()["secret"]
    assert text_of(soup.select_one("#webhook-secret-text")) == secret
    assert soup.select_one("#webhook-each").has_attr("checked")
    assert send(client, f"{address}/webhook/test").status_code == 303
    claimed = deliveries.claim_delivery(store, 60)
    assert claimed is not None
    outcome = {"at": 1.0, "status": 500, "error": SCRIPT_NAME, "seconds": 0.2}
    deliveries.not_delivered(store, claimed[0], outcome)
    shown = text_of(page(client, f"/parts{address}").select_one("#study-deliveries"))
    assert "A test" in shown
    assert f"status 500, {SCRIPT_NAME}" in shown
    assert "Again" in shown


def test_what_the_runs_say_is_told_beside_chance(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    study = launched(client, 4)
    address = f"/parts/studies/{study['id']}/analysis"
    assert "No run has ended with a result yet" in text_of(page(client, address))
    for run, top in zip(study["runs"], (0.5, 0.9, 0.7, 0.6), strict=True):
        trained(store, run["id"], top)
    soup = page(client, address)
    figure = figure_of(soup, "study-best")
    best = figure["data"][1]["y"]
    assert best == sorted(best)
    assert len(figure_of(soup, "study-parallel")["data"]) == 4
    assert "Few runs" in text_of(soup)
    rows = [texts(row.find_all(["th", "td"])) for row in soup.select("tbody tr")]
    assert any(row[0].startswith("optimizer.lr") for row in rows)


def test_best_so_far_follows_the_ends_not_the_numbers() -> None:
    def member(run_id: int, finished_at: float | None, accuracy: float | None) -> Member:
        return Member(1, run_id, f"r{run_id}", "succeeded", finished_at, accuracy)

    info = best_so_far_info(
        [member(1, 30.0, 0.6), member(2, 10.0, 0.5), member(3, None, 0.9), member(4, 20.0, None)]
    )
    assert (info.run_ids, info.best) == ((2, 1), (0.5, 0.6))
    assert best_so_far_figure(best_so_far_info([]))["data"] == []


def test_the_web_process_starts_without_markdown_and_statistics() -> None:
    code = (
        "import app.main, sys; "
        "print([n for n in ('markdown_it', 'app.statistics.importance') if n in sys.modules])"
    )
    done: Any = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
