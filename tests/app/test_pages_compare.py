from __future__ import annotations

import json
import time

import pytest
from fastapi.testclient import TestClient

from app.figures.compare import compare_payload, spec_differences
from app.figures.style import run_style
from store.database import Store
from tests.app.conftest import SPEC
from tests.app.pages import page, text_of, texts
from tests.seeding import Seeded


def test_without_runs_the_page_offers_to_choose(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/compare")
    assert "Choose the runs to compare" in text_of(soup.select_one(".lead"))
    assert len(soup.select('#picker-list [name="run"]')) == 9


def test_the_script_is_told_each_runs_look_and_the_metrics_there_are(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, f"/compare?run={seeded.scratch}&run={seeded.running}")
    told = json.loads(soup.find(id="curves-told").string)
    assert [(run["id"], run["colour"], run["is_live"]) for run in told["runs"]] == [
        (run_id, run_style(run_id).colour, is_live)
        for run_id, is_live in ((seeded.scratch, False), (seeded.running, True))
    ]
    assert [family["key"] for family in told["families"][:2]] == ["accuracy", "loss"]
    boxes = {card["data-family"]: card.has_attr("hidden") for card in soup.select(".curve-card")}
    assert boxes == {
        "accuracy": False,
        "loss": False,
        "batch_learning_rate": True,
        "batch_loss": True,
        "learning_rate": True,
    }
    assert texts(soup.select(".tag a:first-of-type")) == ["small CNN from scratch", "growing"]


def test_the_address_holds_what_the_curves_show_and_links_keep_it(
    client: TestClient, seeded: Seeded
) -> None:
    query = "run=1&run=2&x=seconds&y=log&lines=val&smooth=0.6&metric=batch_loss&group=optimizer.lr"
    soup = page(client, f"/compare?{query}&cm=rows")
    form = soup.select_one("#curves-controls")
    chosen = {
        select["name"]: select.select_one("option[selected]")
        for select in form.select("select")
        if select.select_one("option[selected]")
    }
    assert {name: option["value"] for name, option in chosen.items()} == {
        "lines": "val",
        "x": "seconds",
        "y": "log",
        "group": "optimizer.lr",
        "band": "minmax",
    }
    assert [box["value"] for box in form.select("input[checked]")] == ["batch_loss"]
    assert form.select_one("input[type=range]")["value"] == "0.6"
    for link in soup.select(".segmented a"):
        assert "x=seconds" in link["href"], link
    kept = {field["name"]: field["value"] for field in soup.select("#picker input[type=hidden]")}
    assert kept["smooth"] == "0.6"
    assert kept["cm"] == "rows"


def test_differing_validation_images_are_warned_of(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, f"/compare?run=1&run={seeded.script}")
    assert "validated on different images" in text_of(soup.select_one(".notice-warn"))
    assert not page(client, "/compare?run=1&run=2").select(".notice-warn")


def test_validation_through_the_training_transforms_is_warned_of(client: TestClient) -> None:
    runs = []
    for way in ("plain", "training"):
        spec = {**SPEC, "augmentation": {"preset": "flip", "validation": way}}
        runs.append(client.post("/api/v1/runs", json=spec).json()["id"])
    soup = page(client, f"/compare?run={runs[0]}&run={runs[1]}")
    assert any("training transforms" in text_of(note) for note in soup.select(".notice-warn"))


def test_differing_datasets_are_warned_of_and_no_best_is_marked(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/compare?run=1&run=9")
    assert "different datasets (digits, hymenoptera)" in text_of(soup.select_one(".notice-warn"))
    assert not soup.select("td.best")
    assert soup.select("#compare-results td")


def test_running_runs_are_followed(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, f"/compare?run=1&run={seeded.running}")
    assert str(seeded.running) in soup.select_one("#compare")["data-live-runs"]
    assert '"1"' not in soup.select_one("#compare")["data-live-runs"]
    part = page(client, soup.select_one("#compare")["data-live"] + "?run=1&run=7")
    assert part.select_one("#compare-results")


def test_runs_without_any_figures_can_be_compared(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, f"/compare?run={seeded.queued}&run={seeded.failed}&run={seeded.cancelled}")
    assert [card["data-family"] for card in soup.select(".curve-card")] == ["accuracy", "loss"]


def test_a_run_can_be_removed_and_unknown_ones_are_named(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/compare?run=1&run=2&run=77&x=step")
    assert "There is no run 77" in text_of(soup)
    remove = soup.select_one(".tag .remove")
    assert (remove["name"], remove["value"]) == ("without", "1")
    form = remove.find_parent("form")
    fields = [(field["name"], field["value"]) for field in form.select("input")]
    assert fields == [("run", "1"), ("run", "2"), ("x", "step")]
    answer = client.get("/compare", params=[*fields, ("without", "1")])
    assert (answer.status_code, answer.headers["location"]) == (303, "/compare?run=2&x=step")


@pytest.mark.parametrize(
    "query",
    ["run=x", "run=0", "run=1&x=fortnights", "run=1&smooth=1", "run=1&from=inf"],
)
def test_a_bad_query_is_refused_on_a_page(client: TestClient, query: str) -> None:
    page(client, f"/compare?{query}", 422)


def test_the_payload_holds_figures_table_and_warnings(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    payload = compare_payload(store, [2, 1, 2, 77], time.time())
    assert [run["id"] for run in payload["runs"]] == [2, 1]
    assert payload["missing"] == [77]
    assert set(payload["figures"]) == {
        "wall_clock",
        "confusion_1",
        "confusion_2",
    }
    assert all(set(figure) == {"data", "layout"} for figure in payload["figures"].values())
    assert payload["table"][0]["run_id"] == 2
    assert payload["table"][0]["best_epoch"] <= 12


def test_lists_and_unset_fields_are_compared_as_shown() -> None:
    found = spec_differences(
        [
            {"name": "a", "head": {"hidden": [1, 2]}, "x": None, "y": 1},
            {"name": "b", "head": {"hidden": []}, "x": None, "y": 1},
        ]
    )
    assert [(one.path, one.values) for one in found] == [("head.hidden", ("1, 2", ""))]
