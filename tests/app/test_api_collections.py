"""Collections of images without classes: added, listed, classified, never trained on."""

from __future__ import annotations

import sys

import pytest

from app.images import collection_images, list_collections
from store import runs
from store.datasets import register_dataset
from store.jobs import claim_job, get_job
from tests.app.conftest import SPEC, assert_problem
from tests.seeding import Teller, add_digits, claim, run_spec
from worker.jobs import job_command


@pytest.fixture
def trained(store, settings) -> int:
    add_digits(store, settings)
    run, _ = runs.create_run(store, run_spec("small", training={"epochs": 1}), owner="local")
    Teller(store, run.id, claim(store, run.id), epochs=1, top=0.9).whole()
    return run.id


def test_a_folder_is_added_as_a_collection(client, bell, tmp_path):
    folder = tmp_path / "open" / "photos"
    folder.mkdir()
    body = {"name": "photos", "kind": "folder", "source": str(folder), "labelled": False}
    answer = client.post("/api/v1/datasets", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["labelled"] is False
    assert_problem(client.post("/api/v1/datasets", json={**body, "labelled": True}), 409)
    body = {"name": "digits", "kind": "catalogue", "labelled": False}
    [error] = assert_problem(client.post("/api/v1/datasets", json=body), 422)["errors"]
    assert error["field"] == "labelled"


def test_its_images_are_listed_without_classes(client, store, settings, holiday):
    assert [row.name for row in list_collections(store)] == ["holiday"]
    images, total = collection_images(settings, holiday, limit=2, offset=1)
    assert ([image.path for image in images], total) == (["1.png", "2.png"], 3)
    assert client.get(images[0].url).headers["content-type"] == "image/webp"
    listed = client.get("/api/v1/datasets/holiday/samples?split=images").json()
    assert {(one["class"], one["split"]) for one in listed["samples"]} == {("", "images")}
    assert listed["total"] == 3


def test_no_run_trains_on_a_collection(client, holiday):
    answer = client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "holiday"}})
    [error] = assert_problem(answer, 422)["errors"]
    assert error["field"] == "dataset.name"
    assert "without" in error["expected"]
    assert 'value="holiday"' not in client.get("/launch").text


def test_a_run_classifies_a_collection(client, store, settings, holiday, trained):
    url = f"/api/v1/runs/{trained}/predictions"
    answer = client.post(url, json={"dataset": "holiday"})
    assert answer.status_code == 202, answer.text
    assert claim_job(store, 60, ("quick",)) is None  # it may be large
    command = job_command(store, settings, get_job(store, answer.json()["id"]))
    assert command[:3] == [sys.executable, "-m", "trainer.predict"]
    assert f"--data={settings.dataset_dir(holiday.id) / 'manifest.json'}" in command


def test_what_to_classify_is_said_exactly_once(client, store, holiday, trained, tmp_path):
    url = f"/api/v1/runs/{trained}/predictions"
    both = {"dataset": "holiday", "folder": str(tmp_path / "open")}
    for body in ({}, both):
        [error] = assert_problem(client.post(url, json=body), 422)["errors"]
        assert error["field"] == "folder"
    assert_problem(client.post(url, json={"dataset": "none"}), 404)
    register_dataset(store, "later", "folder", "/x", "local", labelled=False)
    assert_problem(client.post(url, json={"dataset": "later"}), 409)
