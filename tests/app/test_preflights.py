"""Preflights over HTTP: queued for a training worker, shown, cancelled."""

from __future__ import annotations

import time

from fastapi.testclient import TestClient
from PIL import Image

from store import jobs
from store.database import Store
from store.rows import WorkerRow
from store.settings import Settings
from store.workers import beat
from tests.app.conftest import SPEC, FakeBell, assert_problem
from tests.app.pages import page, send, text_of
from tests.seeding import add_digits

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
