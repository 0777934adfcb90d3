from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from store.database import Store
from store.settings import Settings
from tests.app.conftest import assert_problem
from tests.compared import answers, digits, finished_run
from tests.seeding import Seeded
from trainer.datasets.manifest import Item, load_manifest, save_manifest

ADDRESS = "/api/v1/compare/flips"


@pytest.fixture
def pair(client: TestClient, seeded: Seeded, store: Store, settings: Settings) -> tuple[int, int]:
    """Of 90 digits the first is wrong on 0 to 29, the second on 25 to 34 in another way."""
    items = digits(settings, store)
    first = finished_run(store, settings, "first", answers(items, range(30)))
    second = finished_run(
        store, settings, "second", answers(items, range(25, 35), shift=2), optimizer={"lr": 0.5}
    )
    return first.id, second.id


def ask(client: TestClient, pair: tuple[int, int], **query: Any) -> dict[str, Any]:
    answer = client.get(ADDRESS, params={"run": pair, **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_kinds_of_flips(client: TestClient, pair: tuple[int, int]) -> None:
    found = ask(client, pair)
    assert (found["fixed"], found["broken"], found["both_wrong"]) == (25, 5, 5)
    assert [one["index"] for one in found["images"]] == list(range(24))
    assert (found["total"], found["page"], found["pages"]) == (25, 1, 2)
    assert [one["index"] for one in ask(client, pair, page=2)["images"]] == [24]
    assert ask(client, pair, page=99)["page"] == 2
    assert [one["index"] for one in ask(client, pair, kind="broken")["images"]] == [*range(30, 35)]
    (first,) = ask(client, pair, kind="both_wrong", page=1)["images"][:1]
    assert first["label"] == "2"
    assert [one["predicted"] for one in first["said"]] == ["3", "4"]
    assert [one["run"] for one in first["said"]] == list(pair)
    assert first["said"][0]["probability"] == pytest.approx(0.7)
    assert first["said"][0]["probability_of_label"] == pytest.approx(0.3 / 9)


def test_a_class_is_picked_out(client: TestClient, pair: tuple[int, int]) -> None:
    found = ask(client, pair, **{"class": 1})
    assert [one["index"] for one in found["images"]] == [*range(9, 18)]
    assert found["by_class"] == {"0": 9, "1": 9, "2": 7}
    assert found["fixed"] == 25


def test_the_images_of_a_cell(client: TestClient, pair: tuple[int, int]) -> None:
    answer = client.get(
        f"/api/v1/runs/{pair[0]}/evaluations/val/cells", params={"true": 3, "predicted": 4}
    )
    assert [one["index"] for one in answer.json()["images"]] == [27, 28, 29]
    address = f"/api/v1/runs/{pair[0]}/evaluations"
    for path in ("/val/cells?true=10&predicted=0", "/val/cells?true=-1&predicted=0"):
        assert_problem(client.get(address + path), 422)
    assert_problem(client.get(f"{address}/train/cells?true=0&predicted=0"), 422)
    assert_problem(client.get(f"{address}/test/cells?true=0&predicted=0"), 404)


def test_an_image_is_served_by_its_place(
    client: TestClient, pair: tuple[int, int], store: Store, settings: Settings
) -> None:
    (one,) = ask(client, pair, kind="broken")["images"][:1]
    answer = client.get(one["image"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (8, 8)
    again = client.get(one["image"], headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    same = client.get("/api/v1/datasets/digits/image", params={"path": one["id"]})
    assert same.content == answer.content


def test_an_image_that_is_not_there_any_more_is_said_to_be_gone(
    client: TestClient, pair: tuple[int, int], store: Store, settings: Settings
) -> None:
    address = f"/api/v1/runs/{pair[0]}/evaluations/val/images"
    assert_problem(client.get(f"{address}/90"), 404)
    assert_problem(client.get(f"{address}/-1"), 422)
    assert_problem(client.get(f"{address}/..%2f..%2fsecret"), 404)
    assert_problem(client.get(f"{address}/0?size=4"), 422)
    # The dataset was prepared anew, and another image is now of that name.
    folder = settings.dataset_dir(1)
    manifest = load_manifest(folder / "manifest.json")
    moved = tuple(Item(item.path, (item.label + 1) % 10) for item in manifest.splits["train"])
    save_manifest(replace(manifest, splits={"train": moved}), folder / "manifest.json")
    assert_problem(client.get(f"{address}/0"), 404)


def test_runs_that_cannot_be_held_against_each_other(
    client: TestClient, pair: tuple[int, int], seeded: Seeded, store: Store, settings: Settings
) -> None:
    half = digits(settings, store)[::2]
    other = finished_run(store, settings, "half", answers(half), items=half, optimizer={"lr": 0.7})
    assert_problem(client.get(ADDRESS, params={"run": [pair[0], other.id]}), 409)
    assert_problem(client.get(ADDRESS, params={"run": [pair[0], 999]}), 404)
    assert_problem(client.get(ADDRESS, params={"run": [pair[0], seeded.running]}), 404)
    (settings.run_dir(pair[1]) / "attempt-001/predictions/val.npz").unlink()
    assert_problem(client.get(ADDRESS, params={"run": pair}), 404, "No predictions")
    for query in (
        {"run": [pair[0]]},
        {"run": [pair[0]] * 2},
        {"run": [*pair, 1]},
        {"run": pair, "kind": "odd"},
        {"run": pair, "page": 0},
        {"run": pair, "split": "train"},
    ):
        assert_problem(client.get(ADDRESS, params=query), 422)
