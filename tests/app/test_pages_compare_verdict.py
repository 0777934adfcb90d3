from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from store import runs
from store.database import Store
from store.settings import Settings
from tests.app.conftest import FakeBell
from tests.app.pages import page, send, text_of, texts
from tests.compared import answers, digits, finished_run
from tests.seeding import SCRIPT_NAME, Seeded

PART = "/parts/compare/verdict"


@pytest.fixture
def pair(client: TestClient, seeded: Seeded, store: Store, settings: Settings) -> tuple[int, int]:
    items = digits(settings, store)
    first = finished_run(store, settings, "first", answers(items, range(15)))
    second = finished_run(
        store, settings, SCRIPT_NAME, answers(items, [*range(9, 15), 80, 81]), optimizer={"lr": 0.5}
    )
    return first.id, second.id


def asked(*run_ids: int, more: str = "") -> str:
    return PART + "?" + "&".join(f"run={run_id}" for run_id in run_ids) + more


def test_the_page_leaves_room_for_the_verdict(client: TestClient, pair: tuple[int, int]) -> None:
    soup = page(client, "/compare?run=1&run=2")
    section = soup.select_one("#verdict")
    assert section["data-part"] == PART
    assert section["data-keys"] == "baseline split"


def test_two_runs_get_a_sentence_counts_and_links(
    client: TestClient, pair: tuple[int, int]
) -> None:
    soup = page(client, asked(*pair, more="&x=step"))
    sentence = text_of(soup.select_one(".verdict-sentence"))
    assert sentence.startswith("9 fixed, 2 broken, p = 0.065: not enough evidence on 90 images")
    rows = {text_of(row.th): text_of(row.td) for row in soup.select(".counts tr")}
    assert rows["Only first is right (broken)"].startswith("2")
    assert rows["Both are right"] == "73"
    (fixed, broken, _) = soup.select(".counts a")
    assert "flip=fixed" in fixed["href"]
    assert f"run={pair[0]}&run={pair[1]}&x=step&other={pair[1]}&flip=broken#flips" in broken["href"]
    assert "7.8 points" in text_of(soup)
    assert "also chose the epoch" in text_of(soup)
    assert SCRIPT_NAME in text_of(soup)
    assert not soup.find("script")


def test_the_baseline_and_the_split_are_chosen(client: TestClient, pair: tuple[int, int]) -> None:
    soup = page(client, asked(*pair, more=f"&baseline={pair[1]}"))
    (selected,) = soup.select("#verdict-baseline option[selected]")
    assert selected["value"] == str(pair[1])
    assert text_of(soup.select_one(".verdict-sentence")).startswith("2 fixed, 9 broken")
    assert not soup.select("#verdict-split")


def test_several_runs_are_a_table(
    client: TestClient, pair: tuple[int, int], seeded: Seeded
) -> None:
    soup = page(client, asked(*pair, seeded.running))
    rows = [texts(row.find_all(["th", "td"])) for row in soup.select("table tbody tr")]
    assert rows[0][1:3] == ["Not enough evidence", "7.8 points (0.0 to 16.1)"]
    assert rows[1][1] == "Not comparable"
    assert len(soup.select(".verdict-words li")) == 2


def test_one_run_asks_for_another(client: TestClient, seeded: Seeded) -> None:
    assert "Add a second run" in text_of(page(client, asked(1)))


def test_the_missing_seeds_are_launched_on_both_sides(
    client: TestClient, pair: tuple[int, int], store: Store, bell: FakeBell
) -> None:
    soup = page(client, asked(*pair, more="&x=step"))
    form = soup.select_one('form[method="post"]')
    assert "Launch the 6 missing seeds" in text_of(form)
    fields = {one["name"]: one["value"] for one in form.select("input[name]")}
    fields.pop("csrf_token")
    bell.rings.clear()
    answer = send(client, form["action"], **fields)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/compare?run={pair[0]}&run={pair[1]}&x=step#verdict"
    launched = runs.list_runs(store, status="queued", limit=6).rows
    told = {(row.spec["optimizer"]["lr"], row.spec["training"]["seed"]) for row in launched}
    assert told == {(rate, seed) for rate in (0.001, 0.5) for seed in (1, 2, 3)}
    assert {row.spec["name"] for row in launched} == {"first", SCRIPT_NAME}
    assert "train" in bell.rings
    again = page(client, asked(*pair))
    assert not again.select('form[method="post"]')
    assert [link.text for link in again.select('a[href^="/runs/"]')] == [
        f"#{row.id}" for row in sorted(launched, key=lambda row: row.id)
    ]
    assert send(client, form["action"], **fields).status_code == 409


def test_a_bad_launch_is_refused(client: TestClient, pair: tuple[int, int], store: Store) -> None:
    good = {"baseline": str(pair[0]), "run": str(pair[1])}
    for changes in ({"run": "x"}, {"run": "999"}, {"run": str(pair[0])}, {"baseline": "0"}):
        assert send(client, "/compare/seeds", **{**good, **changes}).status_code == 422, changes
    assert client.post("/compare/seeds", data=good).status_code == 403
    # An address to return to is a query of our own page, whatever was sent.
    answer = send(client, "/compare/seeds", **good, query="https://evil.example/?a=b")
    assert answer.headers["location"].startswith("/compare?")


@pytest.mark.parametrize(
    "query", ["", "?run=0", "?run=1&baseline=2", "?run=1&run=2&split=train", "?run=1&other=9"]
)
def test_a_bad_query_is_refused(client: TestClient, seeded: Seeded, query: str) -> None:
    page(client, PART + query, 422)
