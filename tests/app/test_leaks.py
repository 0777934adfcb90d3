"""Duplicates on page and API, the gate before a launch, and accuracies without leaked images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from app.leaks import clean_accuracies
from store import jobs, lifecycle, runs
from store.database import Store
from store.datasets import dataset_ready, get_dataset, register_dataset
from store.evaluations import evaluations
from store.rows import DatasetRow
from store.settings import Settings
from store.studies import list_studies
from tests.app.conftest import FakeBell, assert_problem
from tests.app.pages import check, page, send, text_of
from tests.seeding import LEASE_S, claim
from tests.trainer.datasets.test_duplicates import again, scene
from tests.trainer.runs import spec_with, train
from trainer.datasets.prepare import prepare
from trainer.events import Evaluated, parse_event
from trainer.parsing import parse_spec

SPEC = spec_with(dataset__name="insects", dataset__validation_fraction=0.25, training__epochs=1)


@pytest.fixture
def insects(settings: Settings, store: Store, tmp_path: Path) -> DatasetRow:
    """Own splits; two of the four validation images are among the training images too."""
    folder = tmp_path / "open" / "insects"
    for split, count, first in (("train", 4, 0), ("val", 2, 50)):
        for label, base in (("ant", 1000), ("bee", 2000)):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(count):
                scene(base + first + number, 48).save(place / f"{number}.png")
    scene(1000, 48).save(folder / "val" / "ant" / "0.png")
    again(scene(2001, 48), 85).save(folder / "val" / "bee" / "1.png")
    row = register_dataset(store, "insects", "folder", str(folder), "local")
    roots = settings.data_roots
    manifest = prepare("folder", str(folder), "insects", settings.dataset_dir(row.id), roots=roots)
    assert dataset_ready(store, row.id, manifest.fingerprint, manifest.summary())
    return get_dataset(store, "insects")


def test_a_datasets_duplicates_are_shown_side_by_side(
    client: TestClient, insects: DatasetRow
) -> None:
    soup = page(client, "/datasets/insects")
    part = soup.find(id="duplicates")
    assert "2 groups of 4 images" in text_of(part)
    assert "across splits" in text_of(part)
    groups = part.select(".twins-group")
    assert [len(group.select("img")) for group in groups] == [2, 2]
    assert "train/ant/0.png" in text_of(groups[0])
    assert "validation" in text_of(groups[0])
    whole = page(client, "/datasets/insects/duplicates?kind=classes")
    assert "No group of this kind" in text_of(whole.find(id="duplicates"))
    listed = client.get("/api/v1/datasets/insects/duplicates?kind=splits&limit=1").json()
    assert (listed["total"], listed["looked"], len(listed["groups"])) == (2, True, 1)
    images = listed["groups"][0]["images"]
    assert [one["split"] for one in images] == ["train", "val"]
    assert client.get(images[0]["image"]).status_code == 200
    assert client.get("/api/v1/datasets/insects").json()["duplicates"]["across_splits"] == 2


def test_a_dataset_nobody_has_looked_through_can_be(
    client: TestClient, insects: DatasetRow, settings: Settings, store: Store, bell: FakeBell
) -> None:
    file = settings.dataset_dir(insects.id) / "manifest.json"
    older = json.loads(file.read_text())
    del older["duplicates"]
    file.write_text(json.dumps(older))
    assert "Nobody has looked yet" in text_of(page(client, "/datasets/insects"))
    answer = send(client, "/datasets/insects/duplicates")
    assert answer.headers["location"].endswith("#duplicates")
    assert bell.rings == ["interactive"]
    job = jobs.newest_job(store, "duplicates", insects.id)
    assert job is not None
    again_asked = client.post("/api/v1/datasets/insects/duplicates")
    assert (again_asked.status_code, again_asked.json()["id"]) == (202, job.id)
    claimed = jobs.claim_job(store, 60, ["long"])
    assert claimed is not None
    jobs.beat_job(store, claimed, 60, {"what": "looking at images", "done": 3, "total": 12})
    shown = client.get("/parts/datasets/insects/duplicates")
    assert "3 of 12" in shown.text
    path = f"/datasets/insects/duplicates/jobs/{job.id}/cancel"
    send(client, path)
    assert jobs.get_job(store, job.id).state == "cancelled"


def test_a_launch_that_leaks_is_refused_until_it_is_acknowledged(
    client: TestClient, insects: DatasetRow, store: Store, bell: FakeBell
) -> None:
    problem = assert_problem(client.post("/api/v1/runs", json=SPEC), 422)
    [error] = problem["errors"]
    assert error["field"] == "acknowledge_leaks"
    assert "2 of 4 validation images" in error["message"]
    assert "/datasets/insects#duplicates" in error["remedy"]
    assert bell.rings == []
    study = {"name": "Both", "runs": [SPEC, SPEC]}
    [error] = assert_problem(client.post("/api/v1/studies", json=study), 422)["errors"]
    assert error["field"] == "acknowledge_leaks"
    assert runs.list_runs(store).rows == []
    run = client.post("/api/v1/runs?acknowledge_leaks=true", json=SPEC).json()
    assert run["leaks_acknowledged"] is True
    made = client.post("/api/v1/studies", json={**study, "acknowledge_leaks": True}).json()
    assert [one["leaks_acknowledged"] for one in made["runs"]] == [True, True]
    # A run that joins the study later continues what was launched so.
    later, _ = runs.create_run(store, parse_spec(SPEC), owner="local", study_id=made["id"])
    assert later.leaks_acknowledged


def test_the_form_says_what_leaks_and_takes_a_tick(
    client: TestClient, insects: DatasetRow, store: Store
) -> None:
    form = {
        "dataset.name": "insects",
        "model.architecture": "tuneboard/small_cnn",
        "model.weights": "none",
        "note": "kept",
        "source": "form",
    }
    answer = send(client, "/launch", **form)
    assert answer.status_code == 422
    assert "2 of 4 validation images" in answer.text
    assert 'value="kept"' in answer.text
    synced = send(client, "/launch/sync", **form).json()
    assert [error["field"] for error in synced["errors"]] == ["acknowledge_leaks"]
    launched = send(client, "/launch", **form, acknowledge_leaks="yes")
    assert launched.status_code == 303, launched.text
    [run] = runs.list_runs(store).rows
    assert run.leaks_acknowledged


MANY = {
    "dataset.name": "insects",
    "model.architecture": "tuneboard/small_cnn",
    "model.weights": "none",
    "many_space": "optimizer.lr: [0.1, 0.01]",
    "many_runs": "2",
    "many_keep": "1",
    "many_probe": "training: {epochs: 1}",
    "many_name": "Which rate?",
    "many_note": "kept",
    "many_webhook": "https://lab.example/x",
    "many_act": "launch",
}


@pytest.mark.parametrize("kind", ["grid", "random", "search", "ladder"])
def test_many_at_once_that_leak_are_stopped_with_nothing_lost_and_take_a_tick(
    client: TestClient, insects: DatasetRow, store: Store, bell: FakeBell, kind: str
) -> None:
    answer = send(client, "/launch/many", **MANY, many_kind=kind)
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert "2 of 4 validation images" in text_of(soup.find(id="f-acknowledge-leaks-error"))
    assert "2 of 4 validation images" in text_of(soup.find(id="errors"))
    assert soup.find(id="many").has_attr("open")
    for name in ("many_name", "many_webhook", "many_runs"):
        assert soup.find(id=name)["value"] == MANY[name]
    assert text_of(soup.find(id="many_space")) == MANY["many_space"]
    assert text_of(soup.find(id="many_note")) == "kept"
    assert soup.select_one("#many_kind option[selected]")["value"] == kind
    assert (list_studies(store), bell.rings) == ([], [])
    launched = send(client, "/launch/many", **MANY, many_kind=kind, acknowledge_leaks="yes")
    assert launched.status_code == 303, launched.text
    [study] = list_studies(store)
    assert study.leaks_acknowledged


def test_many_at_once_whose_swept_cut_leaks_are_stopped(
    client: TestClient, insects: DatasetRow, store: Store
) -> None:
    sound = {
        "dataset.train_split": "val",
        "dataset.validation_split": "cut",
        "dataset.validation_fraction": "0.5",
        "dataset.test_split": "none",
    }
    assert send(client, "/launch/many", **{**MANY, **sound}).status_code == 303
    swept = {"many_space": "dataset.test_split: [none, train]"}
    answer = send(client, "/launch/many", **{**MANY, **sound, **swept})
    assert answer.status_code == 422
    assert "test images" in answer.text
    assert len(list_studies(store)) == 1


def test_a_recipe_that_leaks_is_stopped_with_nothing_lost_and_takes_a_tick(
    client: TestClient, insects: DatasetRow, store: Store
) -> None:
    form = {"recipe": "s1-ants-and-bees", "recipe_dataset": "insects"}
    form |= {"substitute": "on", "seeds": "2", "recipe_note": "kept"}
    answer = send(client, "/launch/recipe", **form)
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    check(soup)
    assert "validation images" in text_of(soup.find(id="recipe-acknowledge-leaks-error"))
    assert not soup.find(id="f-acknowledge-leaks-error"), "the tick of another form"
    assert soup.select_one("#recipe-dataset option[selected]")["value"] == "insects"
    assert soup.find(id="recipe-substitute").has_attr("checked")
    assert soup.find(id="recipe-seeds")["value"] == "2"
    assert text_of(soup.find(id="recipe_note")) == "kept"
    assert list_studies(store) == []
    assert send(client, "/launch/recipe", **form, acknowledge_leaks="yes").status_code == 303
    [study] = list_studies(store)
    assert study.leaks_acknowledged


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/studies", {"sweep": {"base": SPEC, "space": {"optimizer.lr": [0.1, 0.01]}}}),
        ("/api/v1/studies", {"name": "Steps", "steps": [{"name": "one", "runs": [SPEC]}]}),
        ("/api/v1/recipes/s1-ants-and-bees/launch", {"dataset": "insects"}),
    ],
)
def test_a_sweep_steps_and_a_recipe_that_leak_are_refused_until_it_is_acknowledged(
    client: TestClient, insects: DatasetRow, store: Store, path: str, body: dict[str, Any]
) -> None:
    [error] = assert_problem(client.post(path, json=body), 422)["errors"]
    assert error["field"] == "acknowledge_leaks"
    assert "validation images" in error["message"]
    assert list_studies(store) == []
    made = client.post(path, json={**body, "acknowledge_leaks": True})
    assert made.status_code == 201, made.text
    assert all(run["leaks_acknowledged"] for run in made.json()["runs"])


def test_a_cut_that_tears_nothing_apart_is_launched(
    client: TestClient, insects: DatasetRow
) -> None:
    alone = spec_with(
        dataset__name="insects", dataset__train_split="val", dataset__test_split="none"
    )
    alone["dataset"]["validation_split"] = "cut"
    alone["dataset"]["validation_fraction"] = 0.5
    assert client.post("/api/v1/runs", json=alone).status_code == 201


def test_accuracies_without_leaked_images_stand_beside(
    client: TestClient, insects: DatasetRow, settings: Settings, store: Store
) -> None:
    run_id, right, ids = _trained(store, settings, insects)
    leaked = {"val/ant/0.png", "val/bee/1.png"}
    kept = [ok for ok, path in zip(right, ids, strict=True) if path not in leaked]
    expected = sum(kept) / len(kept)
    [row] = evaluations(store, [run_id])
    found = clean_accuracies(store, settings, {run_id: SPEC}, [row])
    assert found[run_id, "val"].accuracy == pytest.approx(expected)
    [told] = client.get(f"/api/v1/runs/{run_id}/evaluations").json()["evaluations"]
    assert (told["leaked"], told["accuracy_without_leaked"]) == (2, pytest.approx(expected))
    shown = page(client, f"/runs/{run_id}").select_one("[data-without-leaks]")
    assert "without the 2 of 4 images" in text_of(shown)
    assert f"{100 * expected:.2f}" in text_of(shown)
    table = client.get(f"/parts/compare/results?run={run_id}").text
    assert "without 2 leaked" in table


def _trained(
    store: Store, settings: Settings, dataset: DatasetRow
) -> tuple[int, list[bool], list[str]]:
    spec: dict[str, Any] = SPEC
    run, _ = runs.create_run(store, parse_spec(spec), owner="local", leaks_acknowledged=True)
    attempt = claim(store, run.id)
    out = settings.attempt_dir(run.id, attempt)
    assert train(settings.dataset_dir(dataset.id) / "manifest.json", out, spec) == 0
    for line in (out / "events.jsonl").read_bytes().splitlines():
        event = parse_event(line)
        if isinstance(event, Evaluated):
            file = f"{out.name}/{event.predictions_file}"
            event = event.model_copy(update={"predictions_file": file})
        lifecycle.record(store, run.id, attempt, lease_s=LEASE_S, events=[event])
    lifecycle.finish(store, run.id, attempt, "succeeded")
    with np.load(out / "predictions" / "val.npz") as found:
        right = found["probabilities"].argmax(axis=1) == found["labels"]
        return run.id, right.tolist(), found["ids"].tolist()
