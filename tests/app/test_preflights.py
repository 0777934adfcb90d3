"""Preflights over HTTP: queued for a training worker, shown, cancelled."""

from __future__ import annotations

import time

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient
from PIL import Image

from app.forms import spec_data, typed_values
from store import jobs
from store.database import Store
from store.rows import WorkerRow
from store.runs import create_run, get_run, list_runs
from store.settings import Settings
from store.workers import beat
from tests.app.conftest import SPEC, FakeBell, assert_problem
from tests.app.pages import check, page, send, text_of
from tests.seeding import Seeded, Teller, add_digits, claim, run_spec

RESULT = {
    "device": "a processor",
    "precision": "fp32",
    "fits": True,
    "images_at_once": 16,
    "peak_memory_bytes": 2 * 10**9,
    "memory_bytes": 8 * 10**9,
    "steps": 2,
    "seconds_per_step": 0.5,
    "seconds_first_epoch": 60.0,
    "seconds_per_epoch": 30.0,
    "seconds_total": 90.0,
    "cached_features": False,
    "losses": [1.0, 0.9],
    "parameters_total": 1000,
    "parameters_trained": 10,
    "input_px": 32,
    "splits": {"train": 80, "val": 10},
    "warnings": [{"title": "Few validation images", "detail": "10 images.", "remedy": "More."}],
    "file": "samples.png",
}


def test_a_preflight_waits_for_a_training_slot_and_tells_what_a_run_would_be_like(
    client: TestClient, store: Store, settings: Settings, bell: FakeBell
) -> None:
    add_digits(store, settings)
    answer = client.post("/api/v1/preflights", json=SPEC)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], job["state"], job["dataset"]) == ("preflight", "queued", "digits")
    assert bell.rings == ["train"]
    assert jobs.claim_job(store, 60) is None
    shown = page(client, f"/preflights/{job['id']}")
    assert "waiting for a training worker" in text_of(shown), "none is there"
    beat(store, WorkerRow("here:1", "train", "here", 1, "cpu", 1, time.time()))
    shown = page(client, f"/preflights/{job['id']}")
    assert "waiting for a free slot of a training worker, beside no run" in text_of(shown)
    claimed = jobs.claim_job(store, 60, ["train"])
    assert claimed is not None
    folder = settings.job_dir(claimed.id)
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "samples.png")
    jobs.job_succeeded(store, claimed, RESULT)
    done = page(client, f"/preflights/{job['id']}")
    assert "about 1 min 30 s" in text_of(done)
    assert "Few validation images" in text_of(done)
    picture = client.get(done.select_one(".preflight-sheet")["src"])
    assert picture.headers["content-type"] == "image/png"
    assert client.get("/preflights/99").status_code == 404


@pytest.fixture
def long_form(seeded: Seeded, store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A form whose run is expected to take long, by a run that was measured."""
    run, _ = create_run(
        store, run_spec("measured", training={"epochs": 2}), owner="ann", priority=999
    )
    teller = Teller(store, run.id, claim(store, run.id), epochs=2, top=0.9, speed=2.0)
    teller.whole()
    monkeypatch.setattr("app.spec_summary.LONG_S", 0.001)
    spec = run_spec("a long one", training={"epochs": 8}).model_dump(mode="json")
    spec["dataset"]["input_size_px"] = 64  # what the teller says it was fed
    given = {"note": "why", "priority": "7", "many_note": "kept", "source": "form"}
    return {**typed_values(spec), **given}


def test_a_long_run_that_was_not_tried_is_asked_about_with_nothing_lost(
    client: TestClient, store: Store, long_form: dict[str, str]
) -> None:
    before = len(list_runs(store).rows)
    answer = send(client, "/launch", **long_form)
    assert answer.status_code == 200
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    asked = soup.find(id="untried")
    assert "Nothing is launched yet: this run may take about" in text_of(asked)
    assert {button["form"] for button in asked.select("button")} == {"launch-form"}
    assert soup.find(id="f-note")["value"] == "why"
    assert soup.find(id="f-priority")["value"] == "7"
    assert soup.find(id="f-training-epochs")["value"] == "8"
    assert text_of(soup.find(id="many_note")) == "kept"
    assert len(list_runs(store).rows) == before
    try_first, without = (button["formaction"] for button in asked.select("button"))
    assert send(client, try_first, **long_form).headers["location"].startswith("/preflights/")
    assert send(client, without, **long_form).headers["location"].startswith("/runs/")
    wrong = send(client, "/launch", **{**long_form, "optimizer.lr": "70"})
    assert wrong.status_code == 422, "what is wrong is said first"


def test_what_was_tried_is_launched_from_its_page_and_not_asked_about(
    client: TestClient, store: Store, long_form: dict[str, str]
) -> None:
    tried = send(client, "/launch/preflight", **long_form).headers["location"]
    form = page(client, tried).find(id="preflight-launch")
    hidden = {one["name"]: one["value"] for one in form.select("input[type=hidden]")}
    launched = send(client, form["action"], **hidden)
    assert launched.status_code == 303, launched.text
    run = get_run(store, int(launched.headers["location"].rpartition("/")[2]))
    assert (run.name, run.priority, run.note) == ("a long one", 7, "why")
    assert send(client, "/launch", **long_form).status_code == 200, "it has not succeeded yet"
    claimed = jobs.claim_job(store, 60, ["train"])
    assert claimed is not None
    jobs.job_succeeded(store, claimed, RESULT)
    other = {**long_form, "name": "again", "training.seed": "5"}
    assert send(client, "/launch", **other).status_code == 303
    longer = {**long_form, "training.epochs": "9"}
    assert send(client, "/launch", **longer).status_code == 200
    back = send(client, form.select("button")[1]["formaction"], **hidden)
    soup = BeautifulSoup(back.text, "html.parser")
    assert soup.find(id="f-name")["value"] == "a long one"
    assert text_of(soup.find(id="many_note")) == "kept"


def test_a_script_and_a_network_that_nobody_timed_are_not_asked(
    client: TestClient, long_form: dict[str, str]
) -> None:
    spec = spec_data(long_form)
    assert client.post("/api/v1/runs", json=spec).status_code == 201
    untimed = {**long_form, "model.architecture": "resnet18", "model.weights": "none"}
    assert send(client, "/launch", **untimed).status_code == 303


def test_a_form_is_tried_without_being_launched(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    form = {"dataset.name": "digits", "model.architecture": "tuneboard/small_cnn"}
    form |= {"model.weights": "none", "source": "form"}
    answer = send(client, "/launch/preflight", **form)
    assert answer.status_code == 303, answer.text
    [job] = jobs.list_jobs(store)
    assert answer.headers["location"] == f"/preflights/{job.id}"
    send(client, f"/preflights/{job.id}/cancel")
    assert jobs.get_job(store, job.id).state == "cancelled"
    wrong = send(client, "/launch/preflight", **{**form, "optimizer.lr": "-1"})
    assert wrong.status_code == 422
    assert_problem(client.post("/api/v1/preflights", json={}), 422)
