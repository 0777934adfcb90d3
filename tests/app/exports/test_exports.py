from __future__ import annotations

import csv
import io
import json
import math
import zipfile

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from app.exports.page import import_map
from store.database import Store
from store.settings import Settings
from tests.app.pages import figure_of, text_of, texts
from tests.compared import answers, digits, finished_run
from tests.seeding import SCRIPT_NAME, Seeded

NOTE = "**bold** 🐜\n=1+2 </script><script>alert(2)</script>"


@pytest.fixture
def pair(seeded: Seeded, store: Store, settings: Settings) -> tuple[int, int]:
    """Two runs on the same 90 images: the second fixes six and breaks two."""
    items = digits(settings, store)
    first = finished_run(store, settings, SCRIPT_NAME, answers(items, range(8)), note=NOTE)
    second = finished_run(
        store, settings, "=cmd()", answers(items, [6, 7, 40, 41]), seed=1, optimizer={"lr": 0.01}
    )
    return first.id, second.id


def exported(client: TestClient, suffix: str, runs: tuple[int, ...], extra: str = "") -> bytes:
    query = "&".join(f"run={run_id}" for run_id in runs)
    answer = client.get(f"/compare/export.{suffix}?{query}{extra}")
    assert answer.status_code == 200, answer.text
    ids = "-".join(map(str, runs))
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="tuneboard-runs-{ids}.{suffix}"'
    )
    return answer.content


def tables(client: TestClient, runs: tuple[int, ...]) -> dict[str, list[dict[str, str]]]:
    with zipfile.ZipFile(io.BytesIO(exported(client, "zip", runs))) as packed:
        assert packed.testzip() is None
        return {
            name.removesuffix(".csv"): list(
                csv.DictReader(io.StringIO(packed.read(name).decode(), newline=""))
            )
            for name in packed.namelist()
            if name.endswith(".csv")
        }


def test_the_file_holds_verdict_table_curves_matrices_and_specs(
    client: TestClient, pair: tuple[int, int]
) -> None:
    soup = BeautifulSoup(exported(client, "html", pair), "html.parser")
    verdict = text_of(soup.find(id="verdict-title").parent)
    assert "6 fixed, 2 broken" in verdict
    assert "on 90 validation images" in verdict
    rows = [texts(row.find_all(["th", "td"])) for row in soup.select(".table-tight tbody tr")]
    assert [row[0] for row in rows] == [SCRIPT_NAME, "=cmd()"] * 2  # results, and settings
    settings = figure_of(soup, "settings")["data"]
    assert settings[1]["text"][0] == "optimizer.lr = 0.01"
    curves = figure_of(soup, "curve-1")["data"]
    assert len(curves) == 4
    assert {trace["line"]["dash"] for trace in curves} == {"solid", "dash"}
    assert len(soup.select(".figure-square")) == 2
    changed = [text_of(cell) for cell in soup.select(".spec-differs")]
    assert changed == ["≠ differs: 0.01", "≠ differs: 1"]
    assert "lr: 0.01" in soup.find(id=f"spec-{pair[1]}").text


def test_the_file_asks_nobody_for_anything(client: TestClient, pair: tuple[int, int]) -> None:
    soup = BeautifulSoup(exported(client, "html", pair), "html.parser")
    assert not soup.select("link, img, iframe, [src], [href^=http], form")
    assert len(soup.select("script")[1].string) > 3_000_000  # Plotly
    known = json.loads(soup.find("script", type="importmap").string)["imports"]
    assert all(text.startswith("data:") for text in known.values())


def test_names_and_notes_are_text_in_the_file(client: TestClient, pair: tuple[int, int]) -> None:
    page = exported(client, "html", pair).decode()
    assert SCRIPT_NAME not in page
    assert "<script>alert(2)" not in page
    soup = BeautifulSoup(page, "html.parser")
    assert soup.select_one("#runs-title ~ details .pre-line").text == NOTE


def test_every_import_of_a_script_is_brought_along() -> None:
    known = import_map("js/base.js")
    assert set(known) >= {"js/base.js", "js/charts.js", "js/lib/points.js"}


def test_markdown_has_the_verdict_and_shows_text_as_it_is(
    client: TestClient, pair: tuple[int, int]
) -> None:
    text = exported(client, "md", pair).decode()
    assert "6 fixed, 2 broken" in text
    assert "<" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert r"\*\*bold\*\* 🐜" in text
    assert "| optimizer.lr | 0.001 | 0.01 |" in text
    single = exported(client, "md", pair[:1]).decode()
    assert "A verdict needs at least two runs." in single


def test_the_tables_hold_every_point_and_prediction(
    client: TestClient, pair: tuple[int, int], store: Store
) -> None:
    found = tables(client, pair)
    assert set(found) == {
        "results", "runs", "verdict", "specs", "curves", "confusion", "classes", "seconds",
        "predictions",
    }  # fmt: skip
    (line,) = found["verdict"]
    assert (line["only_run"], line["only_baseline"], line["both_right"]) == ("6", "2", "80")
    points = [row for row in found["curves"] if row["metric"] == "val_accuracy"]
    assert [row["run_id"] for row in points] == [str(run) for run in pair for _ in range(3)]
    assert len(found["predictions"]) == 180
    wrong = [row for row in found["predictions"] if row["right"] == "0"]
    assert len(wrong) == 8 + 4
    assert wrong[0]["true"] == "0"
    assert wrong[0]["predicted"] == "1"
    assert float(wrong[0]["probability"]) == pytest.approx(0.7)
    assert sum(int(row["images"]) for row in found["confusion"]) == 180
    (changed,) = [row for row in found["specs"] if row["field"] == "optimizer.lr"]
    assert list(changed.values()) == ["optimizer.lr", "yes", "0.001", "0.01"]
    assert found["results"][0]["val_accuracy_low"]


def test_cells_that_look_like_formulas_are_made_harmless(
    client: TestClient, pair: tuple[int, int]
) -> None:
    found = tables(client, pair)
    assert [row["name"] for row in found["runs"]] == [SCRIPT_NAME, "'=cmd()"]
    assert found["runs"][0]["note"] == NOTE
    assert found["results"][1]["label"] == "'=cmd()"


def test_runs_without_points_predictions_or_numbers_are_exported(
    client: TestClient, seeded: Seeded
) -> None:
    runs = (seeded.queued, seeded.failed, seeded.script, seeded.running)
    soup = BeautifulSoup(exported(client, "html", runs), "html.parser")
    assert "no evaluation on validation images" in text_of(soup.find(id="verdict-title").parent)
    exported(client, "md", runs)
    found = tables(client, runs)
    assert found["predictions"] == []
    (bad, *_) = [row for row in found["curves"] if row["metric"] == "val_loss"]
    assert bad["value"] == ""  # infinite
    assert all(math.isfinite(float(row["value"] or 0)) for row in found["curves"])


def test_the_view_of_the_address_is_kept(client: TestClient, pair: tuple[int, int]) -> None:
    extra = f"&metric=loss&x=seconds&y=log&cm=rows&baseline={pair[1]}&smooth=0.5"
    soup = BeautifulSoup(exported(client, "html", pair, extra), "html.parser")
    layout = figure_of(soup, "curve-1")["layout"]
    assert layout["title"]["text"].startswith("Loss")
    assert layout["yaxis"]["type"] == "log"
    assert "Seconds" in layout["xaxis"]["title"]["text"]
    assert soup.find(id="curve-2") is None
    assert figure_of(soup, "matrix-1")["data"][0]["zmax"] == 1
    assert "Against =cmd()" in text_of(soup.find(id="verdict-title").parent)


@pytest.mark.parametrize("suffix", ["html", "md", "zip"])
def test_a_bad_address_is_refused(client: TestClient, seeded: Seeded, suffix: str) -> None:
    for query, status in (("", 422), ("?run=77", 404), ("?run=1&run=2&baseline=3", 422)):
        answer = client.get(f"/compare/export.{suffix}{query}", headers={"accept": "text/html"})
        assert answer.status_code == status, (query, answer.text[:500])


def test_a_whole_spec_can_be_had_by_itself(client: TestClient, seeded: Seeded) -> None:
    answer = client.get(f"/runs/{seeded.tuned}/spec.yaml")
    assert "lr: 0.01" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert client.get("/runs/77/spec.yaml").status_code == 404
