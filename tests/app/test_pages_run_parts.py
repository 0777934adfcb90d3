from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from store.database import Store
from store.settings import Settings
from tests.app.pages import figure_of, page, text_of, texts
from tests.compared import answers, digits, finished_run
from tests.seeding import SCRIPT_NAME, Seeded


@pytest.fixture
def run_id(client: TestClient, seeded: Seeded, store: Store, settings: Settings) -> int:
    """Of 90 digits, nine of each, those at 0 to 29 are taken for the class that follows."""
    items = digits(settings, store)
    return finished_run(store, settings, SCRIPT_NAME, answers(items, range(30))).id


def test_a_cell_of_the_matrix_opens_its_images(client: TestClient, run_id: int) -> None:
    soup = page(client, f"/runs/{run_id}")
    first = soup.select_one(".confused tbody a")
    assert text_of(first) == "9 images of 0 taken for 1: show them"
    opened = page(client, first["href"])
    assert text_of(opened.select_one("#cell-title")) == "0 taken for 1: 9"
    assert len(opened.select("#cell .shot")) == 9
    assert "cell=" not in opened.select_one("#cell-close")["href"]
    part = page(client, f"/parts/runs/{run_id}/confusion?cell={run_id}-0-0&cm=rows")
    assert "There is no image in this cell" in text_of(part)
    assert part.select_one('[aria-current="true"]')["id"] == "cm-rows"
    assert figure_of(part, "confusion-val")["data"][0]["meta"] == {"cells": str(run_id)}


@pytest.mark.parametrize("cell", ["x", "1-2", "1-x-2", "1-0-99", "1-2-3-4"])
def test_a_bad_cell_is_refused(client: TestClient, run_id: int, cell: str) -> None:
    assert client.get(f"/runs/{run_id}?cell={cell}").status_code == 422


def test_images_to_look_at(client: TestClient, run_id: int) -> None:
    address = f"/parts/runs/{run_id}/looks"
    wrong = page(client, address)
    assert "30 of 90 are wrong" in text_of(wrong)
    assert len(wrong.select(".shot")) == 24
    assert "✗ wrong" in texts(wrong.select(".shot-said"))[0]
    assert len(page(client, f"{address}?page=2").select(".shot")) == 6
    right = page(client, f"{address}?show=hits")
    assert "60 of 90 are right" in text_of(right)
    assert "✓ right" in texts(right.select(".shot-said"))[0]
    assert client.get(f"{address}?show=everything").status_code == 422


def test_a_draw_is_in_the_address_and_another_is_a_link_away(
    client: TestClient, run_id: int
) -> None:
    def drawn(soup) -> list[str]:
        return [shot["id"] for shot in soup.select("[data-shot]")]

    address = f"/parts/runs/{run_id}/looks?show=random"
    first = page(client, address)
    again = first.select_one("#look-again")["href"]
    assert again == f"/runs/{run_id}?show=random&seed=1#looks"
    assert drawn(first) == drawn(page(client, address))
    assert drawn(first) != drawn(page(client, f"{address}&seed=1"))


def test_calibration_has_a_diagram_and_its_numbers(client: TestClient, run_id: int) -> None:
    soup = page(client, f"/parts/runs/{run_id}/calibration")
    assert "is right in 66.7 %" in text_of(soup)
    assert len(soup.select("tbody tr")) >= 1
    assert figure_of(soup, "calibration-figure")["data"][0]["type"] == "bar"


def test_parts_without_predictions_say_why(client: TestClient, seeded: Seeded) -> None:
    for part in ("looks", "calibration"):
        soup = page(client, f"/parts/runs/{seeded.tuned}/{part}")
        assert "are not here" in text_of(soup), part


@pytest.mark.parametrize("part", ["confusion", "looks", "calibration"])
def test_parts_of_runs_without_evaluation_are_not_found(
    client: TestClient, seeded: Seeded, part: str
) -> None:
    assert client.get(f"/parts/runs/{seeded.queued}/{part}").status_code == 404
    assert client.get(f"/parts/runs/999/{part}").status_code == 404
