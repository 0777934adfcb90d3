from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from app.figures.style import run_style
from app.pages import runs as runs_page
from store.database import Store
from store.datasets import get_dataset
from store.runs import create_run, get_run
from store.settings import Settings
from tests.app.pages import check, figure_of, page, send, text_of, texts
from tests.seeding import EMOJI_NOTE, SCRIPT_NAME, Seeded, Teller, claim, run_spec


def test_the_first_page_leads_to_the_runs(client: TestClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")


def test_without_runs_the_page_says_what_to_do(client: TestClient) -> None:
    soup = page(client, "/runs")
    assert "No runs yet" in text_of(soup.select_one(".empty"))
    assert soup.select_one('.empty a[href="/launch"]')


def test_runs_are_listed_newest_first_with_status_and_figures(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/runs")
    rows = soup.select("tbody tr")
    assert [int(row["data-run"]) for row in rows] == list(range(9, 0, -1))
    tuned = soup.select_one(f"#run-{seeded.tuned}")
    assert text_of(tuned.select_one(".chip")) == "Succeeded"
    assert text_of(tuned.select_one('[data-field="epochs"]')) == "12 / 12"
    assert text_of(tuned.select_one('[data-metric="val_accuracy"]')).startswith("98.")
    assert tuned.progress["value"] == "1.0000"
    running = soup.select_one(f"#run-{seeded.running}")
    assert 0.2 < float(running.progress["value"]) < 0.3
    assert "in the queue" in text_of(soup.select_one(f"#run-{seeded.queued}"))
    waiting = soup.select_one("tbody tr")
    assert "waiting for dataset hymenoptera" in text_of(waiting)


def test_a_run_that_arrives_while_the_list_is_read_stays_newer_than_the_page(
    client: TestClient, store: Store, seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = max(run["id"] for run in client.get("/api/v1/runs").json()["runs"])
    read = runs_page.list_runs

    def and_one_arrives(*given: Any, **named: Any) -> Any:
        rows = read(*given, **named)
        create_run(store, run_spec("late"), owner="local")
        return rows

    monkeypatch.setattr(runs_page, "list_runs", and_one_arrives)
    soup = page(client, "/parts/runs")
    assert soup.select_one(f"#run-{newest + 1}") is None
    assert int(soup.select_one("#runs-region")["data-newest"]) == newest


def test_names_and_notes_are_shown_and_never_run(client: TestClient, seeded: Seeded) -> None:
    for address in ("/runs", f"/runs/{seeded.script}", f"/compare?run={seeded.script}&run=1"):
        raw = client.get(address).text
        assert SCRIPT_NAME not in raw
        assert SCRIPT_NAME in text_of(BeautifulSoup(raw, "html.parser").body), address
    assert EMOJI_NOTE in text_of(page(client, f"/runs/{seeded.script}").textarea)


def test_filters_narrow_the_list_and_are_kept(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/runs?status=succeeded&dataset=digits&q=efficientnet")
    assert [int(row["data-run"]) for row in soup.select("tbody tr")] == [
        seeded.tuned,
        seeded.frozen,
    ]
    assert soup.select_one("#filter-status option[selected]")["value"] == "succeeded"
    assert text_of(soup.select_one("#filter-dataset option[selected]")) == "digits"
    assert soup.select_one("#filter-q")["value"] == "efficientnet"
    assert "No run matches" in text_of(page(client, "/runs?q=nothing-like-it"))


def test_an_unknown_status_is_refused_on_a_page(client: TestClient) -> None:
    soup = page(client, "/runs?status=dancing", 422)
    assert "dancing" in text_of(soup.main)


def test_older_runs_are_a_page_away(client: TestClient, store: Store) -> None:
    for number in range(53):
        create_run(store, run_spec(f"number {number}"), owner="ann")
    first = page(client, "/runs?q=number")
    older = first.select_one('a[rel="next"]')["href"]
    assert "q=number" in older
    second = page(client, older)
    shown = [int(row["data-run"]) for soup in (first, second) for row in soup.select("tbody tr")]
    assert shown == list(range(53, 0, -1))


def test_ticked_runs_go_to_the_comparison_without_scripts(
    client: TestClient, seeded: Seeded
) -> None:
    form = page(client, "/runs").select_one("#compare-form")
    assert (form["method"], form["action"]) == ("get", "/runs/selected")
    assert form.select_one("#compare-button")["value"] == "compare"
    answer = client.get("/runs/selected?action=compare&run=3&run=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/compare?run=3&run=1")
    assert {box["value"] for box in form.select('input[name="run"]')} == {
        str(number) for number in range(1, 10)
    }


def test_the_table_comes_alone_for_a_page_that_is_open(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/parts/runs?status=failed")
    assert soup.html is None
    assert [int(row["data-run"]) for row in soup.select("tbody tr")] == [seeded.failed]


@pytest.mark.parametrize(
    "kind",
    ["scratch", "frozen", "tuned", "failed", "cancelled", "script", "running", "queued"],
)
def test_every_state_of_a_run_has_a_page(client: TestClient, seeded: Seeded, kind: str) -> None:
    run_id = getattr(seeded, kind)
    soup = page(client, f"/runs/{run_id}")
    assert soup.h1
    assert soup.select_one("#run-head .chip")
    parts = client.get(f"/parts/runs/{run_id}")
    fresh = BeautifulSoup(parts.text, "html.parser")
    check(fresh)
    regions = {tag["id"] for tag in fresh.select("[data-region]")}
    assert regions == {tag["id"] for tag in soup.select("[data-region]")}


def test_a_finished_run_shows_results(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, f"/runs/{seeded.tuned}")
    assert not soup.select_one("#cancel-button")
    figures = text_of(soup.select_one("#run-results [data-figures]"))
    assert "Top-5 accuracy 99.50 %" in figures
    assert "calibration error (15 bins) 3.4 %" in figures
    heat = figure_of(soup, "confusion-val")["data"][0]
    assert heat["type"] == "heatmap"
    assert len(heat["z"]) == 10
    classes = soup.select_one("#run-results").table.select("tbody tr")
    assert {part["id"] for part in soup.select("#run-results [data-part]")} == {
        "confusion",
        "looks",
        "calibration",
    }
    assert len(classes) == 10
    accuracy = figure_of(soup, "accuracy")["data"]
    assert [trace["meta"]["series"] for trace in accuracy] == ["train_accuracy", "val_accuracy"]
    assert all(trace["line"]["color"] == run_style(seeded.tuned).colour for trace in accuracy)
    assert len(soup.select("#run-epochs tbody tr")) == 12
    assert "Batch statistics of 8 × 8 pixels" in text_of(soup.select_one(".notice-warn"))
    assert "architecture: timm/tf_efficientnet_lite0" in soup.select_one("#spec").text
    facts = text_of(soup.select_one("#run-facts"))
    for told in ("succeeded", "Compute", "Standalone", "torchvision", "Threads"):
        assert told in facts
    assert "Epoch 12 of 12 done." in texts(soup.select("#log li"))[-1]


def test_a_failed_run_says_why_and_what_to_do(client: TestClient, seeded: Seeded) -> None:
    box = page(client, f"/runs/{seeded.failed}").select_one(".notice-bad")
    assert box["role"] == "alert"
    assert "Weights cannot be had" in text_of(box)
    assert "What to do: Put the file into" in text_of(box)


def test_a_running_run_shows_progress_and_can_be_cancelled(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    soup = page(client, f"/runs/{seeded.running}")
    line = text_of(soup.select_one(".progress-line"))
    for told in ("Epoch 5 / 20", "training", "step 237 of 900", "1520 images/s", "left"):
        assert told in line
    phases = text_of(soup.find("section", {"aria-labelledby": "phases-title"}))
    for told in ("Data 0.5 s", "Compute 3.5 s", "Checkpoint 0.2 s", "ended so far"):
        assert told in phases
    assert "As run" not in phases
    assert soup.select_one("#run")["data-seq"] == str(get_run(store, seeded.running).event_seq)
    address = soup.select_one("#cancel-button").parent["action"]
    answer = send(client, address)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{seeded.running}")
    assert get_run(store, seeded.running).cancel_requested
    after = page(client, f"/runs/{seeded.running}")
    assert text_of(after.select_one(".chip")) == "Cancelling"
    assert not after.select_one("#cancel-button")


def test_cancelling_needs_the_pages_token(client: TestClient, seeded: Seeded, store: Store) -> None:
    answer = client.post(f"/runs/{seeded.running}/cancel", data={"csrf_token": "guessed"})
    assert answer.status_code == 403
    assert not get_run(store, seeded.running).cancel_requested


def test_cancelling_an_ended_run_is_a_conflict(client: TestClient, seeded: Seeded) -> None:
    answer = send(client, f"/runs/{seeded.tuned}/cancel")
    assert answer.status_code == 409
    assert "text/html" in answer.headers["content-type"]


def test_a_queued_run_says_what_it_waits_for(client: TestClient, seeded: Seeded) -> None:
    assert "Number 1 in the queue" in text_of(page(client, f"/runs/{seeded.queued}"))
    waiting = text_of(page(client, "/runs/9"))
    assert "Waiting for dataset hymenoptera to be prepared" in waiting


def test_a_queued_run_without_workers_says_how_to_start_one(
    client: TestClient, store: Store, settings: Settings
) -> None:
    from tests.seeding import add_digits

    add_digits(store, settings)
    run, _ = create_run(store, run_spec("lonely"), owner="ann")
    soup = page(client, f"/runs/{run.id}")
    assert "Waiting for a worker: none is running" in text_of(soup)
    assert soup.select_one('.progress-line a[href="/workers"]')


def test_a_run_whose_dataset_was_never_registered_still_has_a_page(
    client: TestClient, store: Store
) -> None:
    run, _ = create_run(store, run_spec("orphan", dataset="gone"), owner="ann", external=True)
    soup = page(client, f"/runs/{run.id}")
    assert "reported by a script" in text_of(soup)


def test_figures_that_are_not_finite_are_shown_as_dashes(
    client: TestClient, store: Store, seeded: Seeded
) -> None:
    soup = page(client, f"/runs/{seeded.script}")
    first = texts(soup.select("#run-epochs tbody tr")[0].find_all("td"))
    assert first[:2] == ["–", "–"]
    assert figure_of(soup, "loss")["data"][0]["y"][0] is None


def test_a_note_is_kept(client: TestClient, seeded: Seeded, store: Store) -> None:
    answer = send(client, f"/runs/{seeded.tuned}/note", note=" best so far\r\n🐝 ")
    assert answer.status_code == 303
    assert get_run(store, seeded.tuned).note == "best so far\n🐝"
    assert "best so far" in page(client, f"/runs/{seeded.tuned}").textarea.text


def test_a_note_is_kept_whole_or_refused(client: TestClient, seeded: Seeded, store: Store) -> None:
    address = f"/runs/{seeded.tuned}/note"
    send(client, address, note="x" * 20_000)
    answer = send(client, address, note="y" * 20_001)
    assert (answer.status_code, "at most 20000 characters" in answer.text) == (422, True)
    assert get_run(store, seeded.tuned).note == "x" * 20_000


@pytest.mark.parametrize("address", ["/runs/999", "/parts/runs/999", "/runs/999999999999999999999"])
def test_an_unknown_run_is_not_found_on_a_page(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code in {404, 422}
    assert "text/html" in answer.headers["content-type"]


@pytest.mark.parametrize("address", ["/runs", "/runs/1", "/compare", "/workers"])
def test_pages_that_only_show_take_no_post(
    client: TestClient, seeded: Seeded, address: str
) -> None:
    assert send(client, address).status_code == 405


def test_long_runs_are_thinned_on_the_page(client: TestClient, store: Store) -> None:
    from store.datasets import dataset_ready, register_dataset

    row = register_dataset(store, "digits", "catalogue", "digits", "ann")
    dataset_ready(store, row.id, "f", {"classes": ["0", "1"]})
    run, _ = create_run(store, run_spec("long"), owner="ann")
    teller = Teller(store, run.id, claim(store, run.id), epochs=3, top=0.9, steps_per_epoch=9000)
    teller.start()
    teller.epoch(1)
    assert get_dataset(store, "digits").status == "ready"
    figure = figure_of(page(client, f"/runs/{run.id}"), "batch")
    assert "thinned from 3,000 points" in figure["layout"]["title"]["text"]
    assert len(figure["data"][0]["x"]) <= 2000


def test_a_study_shows_its_runs_and_compares_them(client: TestClient, store: Store) -> None:
    from store.studies import create_study

    study = create_study(
        store, "Frozen or tuned?", "ann", [run_spec("one"), run_spec("two")], "why & what for"
    )
    create_run(store, run_spec("another"), owner="ann")
    soup = page(client, f"/studies/{study.id}")
    assert soup.h1.text == "Frozen or tuned?"
    assert "why & what for" in text_of(soup.main)
    rows = soup.select("#study-members tbody tr")
    assert [int(row["data-run"]) for row in rows] == list(study.run_ids)
    assert soup.select_one(".page-head .button")["href"] == "/compare?run=1&run=2"
    run = page(client, f"/runs/{study.run_ids[0]}")
    assert run.select_one(f'a[href="/studies/{study.id}"]')
    page(client, "/studies/99", 404)
