from __future__ import annotations

import gzip
import time
from pathlib import Path

from bs4 import Tag
from fastapi.testclient import TestClient

from app.pages.assets import asset, plotly_url
from app.pages.templating import (
    ago,
    byte_count,
    compact,
    count,
    duration,
    number,
    percent,
    script_json,
)
from store.database import Store
from store.rows import WorkerRow
from store.settings import Settings
from store.workers import beat
from tests.app.pages import page, send, text_of, texts
from tests.seeding import Seeded

FACTS = {
    "gpus": ["NVIDIA X"],
    "cpus": 8,
    "memory_bytes": 64 * 1024**3,
    "versions": {"python": "3.12", "torch": "2.9.1"},
}


def test_without_workers_the_page_says_how_to_start_one(client: TestClient) -> None:
    soup = page(client, "/workers")
    assert "No training worker is running" in text_of(soup)
    assert "python -m worker --kind train" in text_of(soup.select_one(".code"))
    assert "The queue is empty" in text_of(soup)


def test_workers_show_their_runs_and_the_queue_its_order(
    client: TestClient, seeded: Seeded
) -> None:
    soup = page(client, "/workers")
    workers, queue = soup.find_all("table")
    rows = [texts(row.find_all(["th", "td"])) for row in workers.select("tbody tr")]
    assert rows[0][1:5] == ["Busy", "cpu · 2 cores", "–", "1 / 1"]
    assert rows[0][5] == "growing 5 / 20"
    assert rows[1][1] == "Idle"
    waiting = [texts(row.find_all(["th", "td"])) for row in queue.select("tbody tr")]
    assert [row[:3] for row in waiting] == [
        ["1", "waits for its turn #8", "its turn"],
        ["2", "waits for photos #9", "dataset hymenoptera"],
    ]
    assert "No training worker" not in text_of(soup)
    assert page(client, "/parts/workers").select_one("#workers-region")


def test_a_worker_is_drained_and_resumed_without_scripts(
    client: TestClient, store: Store, seeded: Seeded
) -> None:
    beat(store, WorkerRow("w9", "train", "gpu-box", 7, "cuda", 2, time.time(), details=FACTS))

    def line() -> Tag:
        rows = page(client, "/workers").select("tbody tr")
        [found] = [row for row in rows if "gpu-box" in text_of(row)]
        return found

    assert "cuda · NVIDIA X · 8 CPUs" in text_of(line())
    assert "64.0 GiB" in text_of(line())
    assert "torch 2.9.1" in text_of(line())
    assert line().button.text == "Drain"
    assert send(client, line().form["action"], drain="yes").status_code == 303
    assert "Draining" in text_of(line())
    assert "Will hear at its next heartbeat." in text_of(line())
    assert line().button.text == "Resume"
    assert send(client, line().form["action"]).status_code == 303
    assert "Idle" in text_of(line())
    assert send(client, "/workers/w8/drain", drain="yes").status_code == 404


def test_the_queue_is_moved_with_buttons_without_scripts(
    client: TestClient, seeded: Seeded
) -> None:
    def order() -> list[str]:
        return [row["data-queued"] for row in page(client, "/workers").select("[data-queued]")]

    assert order() == ["8", "9"]
    down = page(client, "/workers").select_one("#down-8")
    assert (down["name"], down["value"]) == ("after", "9")
    assert send(client, "/queue/move", run="8", after="9").status_code == 303
    assert order() == ["9", "8"]
    assert page(client, "/workers").select_one("#top-9").has_attr("disabled")
    assert send(client, "/queue/move", run="8", before="9").headers["location"].endswith("#queue-8")
    assert order() == ["8", "9"]
    assert send(client, "/queue/move", run="x").status_code == 422
    assert send(client, "/queue/move", run="1", before="9").status_code == 409


def test_an_unknown_page_is_a_page_that_helps(client: TestClient) -> None:
    soup = page(client, "/nothing/here", 404)
    assert soup.h1.text
    assert soup.select_one('main a[href="/runs"]')
    assert soup.select_one("nav")


def test_every_page_has_a_way_past_the_navigation(client: TestClient) -> None:
    soup = page(client, "/runs")
    skip = soup.select_one(".skip")["href"]
    assert soup.select_one(skip).name == "main"
    assert soup.select_one('nav [aria-current="page"]').text == "Runs"


def test_own_files_are_kept_for_ever_under_their_version(client: TestClient) -> None:
    soup = page(client, "/runs")
    addresses = [tag["href"] for tag in soup.select('link[rel="stylesheet"]')]
    addresses += [tag["src"] for tag in soup.select("script[src]")]
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["cache-control"]
    stale = client.get("/static/0123456789ab/css/base.css")
    assert (stale.status_code, stale.headers["cache-control"]) == (200, "no-cache")
    assert client.get("/static/x/..%2Fpages/run.py").status_code == 404
    assert client.get(asset("css/base.css").replace("base.css", "none.css")).status_code == 404


def test_plotly_comes_compressed_from_the_installed_package(
    client: TestClient, settings: Settings
) -> None:
    answer = client.get(plotly_url(), headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.text.lstrip().startswith("/**\n* plotly.js")
    assert int(answer.headers["content-length"]) < 2_000_000
    (packed,) = (settings.data_dir / "cache").iterdir()
    assert gzip.decompress(Path(packed).read_bytes()).decode() == answer.text
    plain = client.get(plotly_url(), headers={"Accept-Encoding": "identity"})
    assert plain.text == answer.text
    assert client.get("/static/vendor/plotly-0.0.0.min.js").status_code == 404


def test_numbers_read_as_people_say_them() -> None:
    assert [duration(value) for value in (0.44, 9.96, 59.4, 185, 7440, 180000, None)] == [
        "0.4 s",
        "10 s",
        "59 s",
        "3 min 05 s",
        "2 h 04 min",
        "2 d 02 h",
        "–",
    ]
    assert [ago(value) for value in (1, 75, None)] == ["just now", "1 min 15 s ago", "–"]
    assert [percent(0.98765), percent(0.5, 2), percent(float("nan"))] == ["98.8 %", "50.00 %", "–"]
    assert [number(0.000123456), number(None)] == ["0.0001235", "–"]
    assert [count(1234567), count(None)] == ["1\u202f234\u202f567", "–"]
    assert [compact(999), compact(12810), compact(3_400_000)] == ["999", "12.8 k", "3.4 M"]
    assert [byte_count(10), byte_count(5 * 1024**3)] == ["10 B", "5.0 GiB"]


def test_json_in_a_script_element_cannot_end_it() -> None:
    text = script_json({"name": "</script><script>&\u2028"})
    assert not set("<>&\u2028") & set(text)
