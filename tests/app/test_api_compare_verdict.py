from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.figures.compare import RUNS_LIMIT
from store import runs
from store.database import Store
from store.settings import Settings
from tests.app.conftest import SPEC, assert_problem
from tests.compared import answers, digits, evaluated, finished_run
from tests.seeding import SCRIPT_NAME, Seeded

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "/api/v1/compare/verdict"


@pytest.fixture
def pair(client: TestClient, seeded: Seeded, store: Store, settings: Settings) -> tuple[int, int]:
    """Two runs on 90 digits: the second fixes 9 of the first's 15 mistakes and makes 2 others."""
    items = digits(settings, store)
    first = finished_run(store, settings, "first", answers(items, range(15)))
    second = finished_run(
        store, settings, "second", answers(items, [*range(9, 15), 80, 81]), optimizer={"lr": 0.01}
    )
    return first.id, second.id


def ask(client: TestClient, *run_ids: int, **query: Any) -> dict[str, Any]:
    answer = client.get(ADDRESS, params={"run": run_ids, **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_two_runs_are_compared_image_by_image(client: TestClient, pair: tuple[int, int]) -> None:
    found = ask(client, *pair)
    assert (found["baseline"], found["split"], found["samples"]) == (pair[0], "val", 90)
    assert found["split_chose_epoch"]
    (one,) = found["comparisons"]
    assert one["counts"] == {"both_right": 73, "fixed": 9, "broken": 2, "both_wrong": 6}
    assert one["p_value"] == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert one["finding"] == "undecided"
    assert one["sentence"].startswith("9 fixed, 2 broken, p = 0.065: not enough evidence on 90")
    assert one["interval"][0] == 0.0
    assert one["seeds"] == [1, 1]
    assert one["seeds_missing"] == [3, 3]


def test_the_baseline_is_chosen(client: TestClient, pair: tuple[int, int]) -> None:
    found = ask(client, *pair, baseline=pair[1])
    (one,) = found["comparisons"]
    assert (found["baseline"], one["run"]) == (pair[1], pair[0])
    assert (one["counts"]["fixed"], one["counts"]["broken"]) == (2, 9)


def test_a_test_split_is_preferred_where_all_have_it(
    client: TestClient, pair: tuple[int, int], store: Store, settings: Settings
) -> None:
    items = digits(settings, store)
    tested = [
        finished_run(
            store, settings, f"tested {lr}", answers(items), test=answers(items, wrong),
            optimizer={"lr": lr},
        ).id
        for lr, wrong in ((0.1, [1]), (0.2, [1, 2, 3]))
    ]  # fmt: skip
    found = ask(client, *tested)
    assert (found["split"], found["split_chose_epoch"], found["notes"]) == ("test", False, [])
    assert found["comparisons"][0]["counts"]["broken"] == 2
    assert ask(client, *tested, split="val")["comparisons"][0]["counts"]["broken"] == 0
    mixed = ask(client, tested[0], pair[0])
    assert mixed["split"] == "val"
    assert "not every run was tested" in mixed["notes"][0]


def test_different_images_are_refused_and_the_cause_is_named(
    client: TestClient, pair: tuple[int, int], store: Store, settings: Settings
) -> None:
    items = digits(settings, store)[::2]
    other = finished_run(
        store, settings, "half", answers(items), items=items,
        dataset={"split_seed": 7},
    ).id  # fmt: skip
    (one,) = ask(client, pair[0], other)["comparisons"]
    assert one["finding"] == "refused"
    assert "different validation images (90 and 45)" in one["sentence"]
    assert "dataset.split_seed: 0 and 7" in one["sentence"]
    assert (one["counts"], one["p_value"], one["seeds_missing"]) == (None, None, [0, 0])


def test_runs_without_evaluation_or_predictions_are_refused(
    client: TestClient, pair: tuple[int, int], seeded: Seeded, store: Store, settings: Settings
) -> None:
    found = ask(client, pair[0], seeded.running, seeded.failed)
    assert "it is running; it is compared once it has ended" in found["comparisons"][0]["sentence"]
    assert "it is failed." in found["comparisons"][1]["sentence"]
    (settings.run_dir(pair[1]) / "attempt-001/predictions/val.npz").unlink()
    (one,) = ask(client, *pair)["comparisons"]
    assert one["finding"] == "refused"
    assert "their file was removed" in one["sentence"]


def test_a_run_from_outside_is_refused_for_want_of_predictions(
    client: TestClient, pair: tuple[int, int], store: Store, settings: Settings
) -> None:
    outside = client.post("/api/v1/runs?external=true", json={**SPEC, "name": "outside"}).json()
    items = digits(settings, store)
    event = evaluated(settings, pair[1], items, answers(items))
    told = client.post(f"/api/v1/runs/{outside['id']}/events", json=[event.model_dump(mode="json")])
    assert told.status_code == 200, told.text
    (one,) = ask(client, pair[0], outside["id"])["comparisons"]
    assert "a script outside Tuneboard reported it" in one["sentence"]


def test_four_seeds_on_both_sides_speak_of_the_settings(
    client: TestClient, pair: tuple[int, int], store: Store, settings: Settings
) -> None:
    items = digits(settings, store)
    for seed in (1, 2, 3):
        finished_run(
            store, settings, f"again {seed}", answers(items, range(seed, seed + 15)), seed=seed
        )
        finished_run(
            store, settings, "second", answers(items, range(30, 30 + seed)), seed=seed,
            optimizer={"lr": 0.01},
        )  # fmt: skip
    (one,) = ask(client, *pair)["comparisons"]
    assert (one["about"], one["seeds"]) == ("settings", [4, 4])
    assert one["p_value"] == pytest.approx(2 / 70)
    assert "the settings of “second” are better" in one["sentence"]


def test_the_same_seed_twice_is_one_replicate(
    client: TestClient, pair: tuple[int, int], store: Store, settings: Settings
) -> None:
    items = digits(settings, store)
    for _ in range(4):
        finished_run(store, settings, "copy", answers(items, range(15)))
    assert ask(client, *pair)["comparisons"][0]["seeds"] == [1, 1]


def test_seeds_on_their_way_are_counted(
    client: TestClient, pair: tuple[int, int], store: Store
) -> None:
    spec = runs.get_run(store, pair[0]).spec
    queued = client.post("/api/v1/runs", json={**spec, "training": {**spec["training"], "seed": 5}})
    (one,) = ask(client, *pair)["comparisons"]
    assert one["runs_coming"] == [queued.json()["id"]]
    assert one["seeds_missing"] == [2, 3]


def test_names_are_told_as_they_are(
    client: TestClient, pair: tuple[int, int], store: Store, settings: Settings
) -> None:
    items = digits(settings, store)
    bad = finished_run(store, settings, SCRIPT_NAME, answers(items), optimizer={"lr": 0.5})
    (one,) = ask(client, pair[0], bad.id)["comparisons"]
    assert SCRIPT_NAME in one["sentence"]


def test_what_cannot_be_judged_is_refused(client: TestClient, pair: tuple[int, int]) -> None:
    first, second = pair
    assert_problem(client.get(ADDRESS, params={"run": [first, 999]}), 404)
    for query in (
        {"run": [first]},
        {"run": [first, first]},
        {"run": [first, second], "baseline": 999},
        {"run": [first, second], "split": "train"},
        {"run": list(range(1, RUNS_LIMIT + 2))},
        {},
    ):
        assert_problem(client.get(ADDRESS, params=query), 422)


def test_the_web_process_starts_without_the_statistics() -> None:
    names = "('app.statistics', 'app.verdict', 'numpy')"
    code = f"import app.main, sys; print([n for n in {names} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert eval(done.stdout) == []  # noqa: S307
