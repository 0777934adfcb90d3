from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Mapping

import pytest
from fastapi.testclient import TestClient
from scipy.stats import binomtest

from app.figures.results import COLUMNS, time_to_target
from store.database import Store
from store.rows import SeriesPoints
from store.settings import Settings
from tests.app.pages import page, text_of, texts
from tests.compared import answers, digits, finished_run
from tests.seeding import SCRIPT_NAME, Seeded

TABLE = "#compare-results table"


def columns(soup) -> list[str]:
    return [text_of(one).rstrip(" ▲▼") for one in soup.select(f"{TABLE} thead th")]


def cells(soup, title: str) -> list[str]:
    place = columns(soup).index(title)
    return [text_of(row.find_all(["th", "td"])[place]) for row in soup.select(f"{TABLE} tbody tr")]


def test_best_and_final_stand_apart_and_the_best_is_marked(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/compare?run=1&run=2&run=3")
    assert columns(soup) == [
        "Run", "Status", "Best val. accuracy", "Best epoch", "Final val. accuracy", "Trained for",
        "Per epoch", "Parameters trained",
    ]  # fmt: skip
    assert cells(soup, "Parameters trained") == ["1.23 M", "12.8 k", "1.23 M"]
    assert [" (best)" in one for one in cells(soup, "Best val. accuracy")] == [False, False, True]
    assert [" (best)" in one for one in cells(soup, "Trained for")] == [False, True, False]


def test_accuracies_have_wilsons_interval(
    client: TestClient, seeded: Seeded, store: Store, settings: Settings
) -> None:
    items = digits(settings, store)
    run = finished_run(
        store, settings, "a", answers(items, range(9)), test=answers(items, range(4))
    )
    soup = page(client, f"/compare?run={run.id}")
    for title, right in (("Best val. accuracy", 81), ("Test accuracy", 86)):
        low, high = binomtest(right, 90).proportion_ci(method="wilson")
        assert cells(soup, title)[0].endswith(f"{low * 100:.1f}–{high * 100:.1f}")


def test_columns_are_chosen_in_the_address(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/compare?run=1&run=2&columns=device&columns=macro_f1&x=step")
    assert columns(soup) == ["Run", "Macro F1", "Device"]
    chosen = [one["value"] for one in soup.select("#results-columns input[checked]")]
    assert chosen == ["macro_f1", "device"]
    form = soup.select_one("#results-columns form")
    assert [(one["name"], one["value"]) for one in form.select("[data-kept]")] == [
        ("run", "1"), ("run", "2"), ("x", "step"),
    ]  # fmt: skip
    assert len(form.select("input[type=checkbox]")) == len(COLUMNS)
    assert "columns=device" in soup.select_one("#sort-macro_f1")["href"]


def test_the_table_is_sorted_by_a_column(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, f"/compare?run=1&run=2&run=3&run={seeded.queued}&sort=-best_val_accuracy")
    names = cells(soup, "Run")
    assert names == [
        "tf_efficientnet_lite0 fine-tuned",
        "small CNN from scratch",
        "tf_efficientnet_lite0 frozen",
        "waits for its turn",
    ]  # fmt: skip
    head = soup.select_one("#sort-best_val_accuracy")
    assert head.parent["aria-sort"] == "descending"
    assert "sort=best_val_accuracy" in head["href"]
    turned = page(client, head["href"].partition("#")[0])
    assert cells(turned, "Run") == [*names[:3][::-1], names[3]]
    by_name = page(client, "/compare?run=3&run=1&sort=run")
    assert cells(by_name, "Run")[0] == "small CNN from scratch"


def test_time_to_a_target(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/compare?run=1&run=2&run=3&target=97")
    found = cells(soup, "Time to target")
    assert found[:2] == ["–", "–"]
    assert found[2].endswith("s")
    assert soup.select_one("#results-target")["value"] == "97"
    points = SeriesPoints(
        array("i", [1, 2, 3]), array("f", [1, 2, 3]), array("f", [2, 4, 6]),
        array("d", [float("nan"), 0.5, 0.9]),
    )  # fmt: skip
    assert time_to_target(points, 0.5) == 4
    assert time_to_target(points, 0.95) is None
    assert time_to_target(SeriesPoints(), 0.1) is None


def test_the_table_comes_as_markdown_and_as_csv(
    client: TestClient, seeded: Seeded, store: Store, settings: Settings
) -> None:
    items = digits(settings, store)
    run = finished_run(store, settings, "=1+1|x", answers(items, range(9)))
    query = f"run={run.id}&run={seeded.script}&columns=best_val_accuracy&columns=status&sort=-run"
    soup = page(client, f"/compare?{query}")
    lines = soup.select_one("#results-markdown").string.splitlines()
    assert lines[0] == "| Run | Status | Best val. accuracy |"
    assert lines[3].startswith("| &lt;script&gt;alert(1)&lt;/script&gt; | succeeded |")
    assert "\\|x" in lines[2]
    answer = client.get(f"/compare/results.csv?{query}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows: list[Mapping[str, str]] = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["name"] for row in rows] == ["'=1+1|x", SCRIPT_NAME]
    low, high = binomtest(81, 90).proportion_ci(method="wilson")
    assert float(rows[0]["best_val_accuracy_low"]) == pytest.approx(low)
    assert float(rows[0]["best_val_accuracy_high"]) == pytest.approx(high)


def test_the_part_alone_is_the_same_table(client: TestClient, seeded: Seeded) -> None:
    query = "run=1&run=2&columns=device&sort=device"
    part = page(client, f"/parts/compare/results?{query}")
    whole = page(client, f"/compare?{query}")
    assert texts(part.select("td")) == texts(whole.select(f"{TABLE} td"))
    section = part.select_one("#compare-results")
    assert section["data-keys"] == "columns sort target"


@pytest.mark.parametrize(
    "query", ["columns=x", "sort=x", "sort=--run", "target=0", "target=nan", "target=101"]
)
def test_a_bad_view_is_refused(client: TestClient, seeded: Seeded, query: str) -> None:
    for path in ("/compare", "/parts/compare/results"):
        page(client, f"{path}?run=1&{query}", 422)
