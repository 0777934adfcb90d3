from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.spec_images import images_of
from store.database import Store
from store.rows import DatasetRow
from store.runs import create_run
from store.settings import Settings
from tests.app.conftest import SPEC, assert_problem
from tests.seeding import Seeded, Teller, claim, run_spec
from trainer.data_sections import DatasetSpec

URL = "/api/v1/spec/summary"


def summary(client: TestClient, spec: dict[str, Any], **params: Any) -> dict[str, Any]:
    answer = client.post(URL, json=spec, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_spec_is_summed_up(client: TestClient, pictures: DatasetRow) -> None:
    spec = {**SPEC, "dataset": {"name": "pictures", "validation_fraction": 0.25}}
    spec["training"] = {"epochs": 3, "batch_size": 4}
    told = summary(client, spec)
    assert told["name"] == "small_cnn from scratch"
    assert told["images"] == {"train": 9, "val": 3, "test": 0, "classes": 3, "exact": True}
    assert told["steps"] == {"per_epoch": 3, "total": 9, "images": 4}
    assert told["parameters"]["trained"] == told["parameters"]["total"] > 1000
    assert told["time"] is None
    assert "No run of tuneboard/small_cnn" in told["time_unknown"]
    assert "Nobody has timed this network here" in told["preflight"]
    assert told["queue"]["position"] == 1
    assert "No training worker" in told["queue"]["text"]
    assert told["ends_at"] is None


def test_a_catalogue_dataset_that_is_not_here_is_told_as_the_catalogue_says(
    client: TestClient,
) -> None:
    told = summary(client, {"dataset": {"name": "hymenoptera"}})
    assert told["images"] == {"train": 244, "val": 153, "test": 0, "classes": 2, "exact": False}
    assert told["parameters"]["total"] == 11_177_538  # ResNet-18 with two classes
    told = summary(client, {"dataset": {"name": "cifar10", "validation_count": 10_000}})
    assert told["images"]["train"] == 40_000
    assert told["steps"]["per_epoch"] == 1250


def test_frozen_features_are_kept_where_they_can_be(client: TestClient) -> None:
    frozen: dict[str, Any] = {
        "dataset": {"name": "hymenoptera"},
        "freeze": {"layers": "backbone"},
        "augmentation": {"preset": "flip"},
    }
    told = summary(client, frozen)
    assert told["cached"]["versions"] == 2
    assert told["cached"]["passes"] == 2 * 244 + 153
    assert told["parameters"]["trained"] == 512 * 2 + 2
    random = summary(client, {**frozen, "augmentation": {"preset": "standard"}})
    assert random["cached"]["versions"] == 0
    assert "runs every time" in random["cached"]["text"].replace("\n", " ")


def test_measured_runs_tell_the_time_and_the_queue_the_end(
    client: TestClient, store: Store, seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = create_run(
        store, run_spec("measured", training={"epochs": 4}), owner="ann", priority=999
    )
    teller = Teller(store, run.id, claim(store, run.id), epochs=4, top=0.9, speed=2.0)
    teller.start()
    for number in range(1, 5):
        teller.epoch(number)
    teller.finish()
    wanted = run_spec("next", training={"epochs": 8}).model_dump(mode="json")
    wanted["dataset"]["input_size_px"] = 64  # what the teller says it was fed
    told = summary(client, wanted)
    assert run.id in told["time"]["runs"]
    assert told["time"]["likeness"] == "same"
    assert told["time"]["epoch_s"] > 0
    assert told["time"]["total_s"] > 7 * told["time"]["epoch_s"]
    assert told["preflight"] == ""
    monkeypatch.setattr("app.spec_summary.LONG_S", told["time"]["total_s"] / 2)
    assert "A long run" in summary(client, wanted)["preflight"]
    assert told["queue"]["ahead"] == 2
    first = summary(client, run_spec("next").model_dump(mode="json"), priority=1000)
    assert first["queue"]["ahead"] == 0


def test_a_dataset_that_cannot_be_cut_so_is_refused_by_field(
    client: TestClient, pictures: DatasetRow
) -> None:
    spec = {**SPEC, "dataset": {"name": "pictures", "train_count": 500}}
    problem = assert_problem(client.post(URL, json=spec), 422)
    assert problem["errors"][0]["field"] == "dataset.train_count"


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "dataset"), ({"dataset": {"name": "nowhere"}}, "dataset.name")],
)
def test_what_is_no_spec_is_refused(client: TestClient, body: Any, field: str) -> None:
    problem = assert_problem(client.post(URL, json=body), 422)
    assert problem["errors"][0]["field"] == field
    assert client.get(URL).status_code == 405


def test_a_dataset_that_nobody_has_prepared_has_no_images(store: Store, settings: Settings) -> None:
    assert images_of(store, settings, DatasetSpec(name="photos")) is None
