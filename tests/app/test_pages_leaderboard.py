"""The Runs page as a leaderboard, without scripts: filter, sort, columns, views, chosen runs."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from store.database import Store
from store.labels import change_tags, pin
from store.runs import get_run, list_runs, runs_by_ids
from store.settings import Settings
from tests.app.pages import page, send, text_of, texts
from tests.seeding import SCRIPT_NAME, Seeded


def listed(soup: BeautifulSoup) -> list[int]:
    return [int(row["data-run"]) for row in soup.select("tbody:not(.pinned-rows) tr")]


def test_a_filter_and_a_sort_are_in_the_address(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/runs?filter=best_val_accuracy+>+90%25&sort=-best_val_accuracy")
    assert listed(soup) == [seeded.tuned, seeded.scratch, seeded.frozen]
    assert soup.select_one("#filter-text")["value"] == "best_val_accuracy > 90%"
    assert text_of(soup.select_one("#runs-total")) == "3 runs match."
    heading = soup.select_one('th[aria-sort="descending"]')
    assert text_of(heading) == "Best val. accuracy"
    assert parse_qs(urlsplit(heading.a["href"]).query) == {
        "filter": ["best_val_accuracy > 90%"],
        "sort": ["best_val_accuracy"],
    }
    again = page(client, heading.a["href"])
    assert listed(again) == [seeded.frozen, seeded.scratch, seeded.tuned]
    kept = {field["name"]: field["value"] for field in again.select("#filter-form [type=hidden]")}
    assert kept == {"sort": "best_val_accuracy"}


def test_a_mistake_in_a_filter_is_marked_in_its_place(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/runs?filter=tag+=+paper+and+optimizer.lrr+<+1&q=small", 422)
    assert text_of(soup.select_one("#filter-error mark")) == "optimizer.lrr"
    assert "Did you mean `optimizer.lr`" in text_of(soup.select_one("#filter-error"))
    field = soup.select_one("#filter-text")
    assert (field["value"], field["aria-invalid"]) == (
        "tag = paper and optimizer.lrr < 1",
        "true",
    )
    assert soup.select_one("#filter-q")["value"] == "small"
    assert listed(soup) == []


@pytest.mark.parametrize("query", ["sort=speed", "columns=status,speed"])
def test_another_mistake_in_the_address_is_told(
    client: TestClient, seeded: Seeded, query: str
) -> None:
    soup = page(client, f"/runs?{query}", 422)
    assert "speed" in text_of(soup.select_one("[role=alert]"))


def test_columns_are_chosen_and_kept(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/runs?columns=status,optimizer.lr&columns=val.accuracy&sort=name")
    assert texts(soup.select("thead th"))[2:] == [
        "Status",
        "Learning rate",
        "Accuracy on the validation images",
    ]
    row = soup.select_one(f"#run-{seeded.tuned}")
    status, rate, accuracy = texts(row.select("td"))[1:]
    assert (status, rate) == ("Succeeded", "0.01")
    assert accuracy.endswith(" %")
    ticked = {box["value"] for box in soup.select("#columns-details input[checked]")}
    assert ticked == {"status", "optimizer.lr", "val.accuracy"}
    hidden = soup.select("#columns-details form > [type=hidden]")
    assert [(field["name"], field["value"]) for field in hidden] == [("sort", "name")]
    sorting = soup.select_one("thead th:nth-of-type(4) a")["href"]
    assert "columns=status%2Coptimizer.lr%2Cval.accuracy" in sorting


def test_rows_hold_small_curves_on_one_scale(client: TestClient, seeded: Seeded) -> None:
    soup = page(client, "/runs")
    curve = soup.select_one(f"#run-{seeded.tuned} svg.spark")
    points = [tuple(map(float, point.split(","))) for point in curve.polyline["points"].split()]
    assert len(points) == 12
    assert points[0][1] > points[-1][1]  # it rose; an SVG's y goes down
    assert "from" in curve["aria-label"]
    worse = soup.select_one(f"#run-{seeded.script} svg.spark").polyline["points"].split()
    assert float(worse[-1].split(",")[1]) > points[-1][1]
    assert soup.select_one(f"#run-{seeded.queued} svg.spark") is None


def test_tags_are_shown_and_lead_to_their_runs(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    tag = 'it\'s "so" \\ <b>'
    change_tags(store, [seeded.tuned], add=[tag])
    link = page(client, "/runs").select_one(f"#run-{seeded.tuned} .run-tag")
    assert text_of(link) == tag
    assert listed(page(client, link["href"])) == [seeded.tuned]
    assert listed(page(client, "/runs?q=S+%22SO")) == [seeded.tuned]
    assert listed(page(client, "/runs?q=LOOKS")) == [seeded.script]  # in its note


def test_a_baseline_is_pinned_and_on_top(client: TestClient, seeded: Seeded, store: Store) -> None:
    form = page(client, "/runs?sort=name").select_one("#pin-form")
    button = page(client, "/runs").select_one(f"#pin-{seeded.tuned}")
    assert (button["form"], button["aria-pressed"]) == ("pin-form", "false")
    back = form.select_one("[name=back]")["value"]
    answer = send(client, form["action"], back=back, pin=button["value"])
    assert answer.status_code == 303
    soup = page(client, answer.headers["location"])
    assert f"Run {seeded.tuned} is the baseline" in text_of(soup.select_one("[role=status]"))
    assert [row["id"] for row in soup.select(".pinned-rows tr")] == [f"run-{seeded.tuned}"]
    assert seeded.tuned not in listed(soup)
    narrowed = page(client, "/runs?status=failed")
    assert [row["id"] for row in narrowed.select(".pinned-rows tr")] == [f"run-{seeded.tuned}"]
    answer = client.get(f"/runs/selected?action=against&run={seeded.scratch}")
    wanted = f"/compare?run={seeded.tuned}&run={seeded.scratch}&baseline={seeded.tuned}"
    assert answer.headers["location"] == wanted
    answer = client.get(f"/runs/selected?action=compare&run={seeded.scratch}&run={seeded.tuned}")
    assert answer.headers["location"].endswith(f"&baseline={seeded.tuned}")
    answer = send(client, "/runs/pin", unpin=str(seeded.tuned))
    assert not page(client, answer.headers["location"]).select(".pinned-rows")


def test_a_view_is_saved_opened_renamed_and_forgotten(client: TestClient, seeded: Seeded) -> None:
    address = "/runs?filter=best_val_accuracy+%3E+0.9&sort=name&columns=status,tag"
    form = page(client, address).select_one('form[action="/runs/views"]')
    query = form.select_one("[name=query]")["value"]
    answer = send(client, form["action"], name=SCRIPT_NAME, query=query)
    soup = page(client, answer.headers["location"])
    link = soup.select_one(".views a[aria-current]")
    assert text_of(link) == SCRIPT_NAME
    assert listed(page(client, link["href"])) == [seeded.scratch, seeded.tuned, seeded.frozen]
    send(client, "/runs/views/1", name="Good ones")
    assert "Good ones" in texts(page(client, "/runs").select(".views li a"))
    send(client, "/runs/views/1/delete")
    assert texts(page(client, "/runs").select(".views li a")) == ["All runs"]
    assert send(client, "/runs/views/1/delete").status_code == 404
    assert send(client, "/runs/views", name="x", query="sort=speed").status_code == 422


def test_deleting_names_runs_and_bytes_first(
    client: TestClient, seeded: Seeded, settings: Settings, store: Store
) -> None:
    folder = settings.attempt_dir(seeded.tuned, 1)
    folder.mkdir(parents=True)
    (folder / "last.pt").write_bytes(b"x" * 3 * 1024**2)
    soup = page(
        client,
        f"/runs/selected?action=delete&run={seeded.tuned}&run={seeded.running}&back=?sort=name",
    )
    assert "3 MiB" in text_of(soup.main)
    assert f"#{seeded.running} : It is running; cancel it first." in text_of(
        soup.select_one(".notice-warn")
    )
    assert get_run(store, seeded.tuned)
    form = soup.select_one('form[method="post"]:has(.button-danger)')
    assert text_of(form.button) == "Delete 1 run, free 3 MiB"
    fields = {field["name"]: field["value"] for field in form.select("input")}
    fields.pop("csrf_token")
    answer = send(client, form["action"], **fields)
    assert answer.status_code == 200  # something was refused: told before going back
    assert "Deleted: 1 of 2 runs. 3 MiB" in text_of(BeautifulSoup(answer.text, "html.parser").main)
    assert runs_by_ids(store, [seeded.tuned]) == []
    assert not folder.exists()
    answer = send(client, "/runs/selected", action="delete", ids="1,2", back="sort=name&x=y")
    assert answer.headers["location"] == "/runs?sort=name&done=delete&n=2"
    assert "2 runs deleted" in text_of(page(client, answer.headers["location"]).main)


def test_chosen_runs_are_tagged_and_a_mistake_keeps_what_was_typed(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    soup = page(client, f"/runs/selected?action=tag&run={seeded.tuned}&run={seeded.failed}")
    form = soup.select_one("form:has(#tags)")
    ids = form.select_one("[name=ids]")["value"]
    answer = send(client, form["action"], action="tag", ids=ids, tags="paper, " + "x" * 70)
    assert answer.status_code == 422
    again = BeautifulSoup(answer.text, "html.parser")
    assert again.select_one("#tags")["value"] == "paper, " + "x" * 70
    assert "60 characters" in text_of(again.select_one("[role=alert]"))
    send(client, form["action"], action="tag", ids=ids, tags=" paper , week 48,")
    found = page(client, "/runs?filter=tag+=+paper+and+tag+=+'week+48'")
    assert set(listed(found)) == {seeded.tuned, seeded.failed}
    send(client, form["action"], action="untag", ids=ids, tags="paper")
    assert listed(page(client, "/runs?filter=tag+=+paper")) == []


def test_archived_runs_leave_the_list_and_come_back(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    form = page(client, f"/runs/selected?action=archive&run={seeded.failed}").select_one(
        'form[action="/runs/selected"]'
    )
    assert text_of(form.button) == "Archive 1 run"
    send(client, "/runs/selected", action="archive", ids=str(seeded.failed))
    assert seeded.failed not in listed(page(client, "/runs"))
    shelf = page(client, "/runs?archived=yes")
    assert listed(shelf) == [seeded.failed]
    assert shelf.select_one('button[value="unarchive"]')
    send(client, "/runs/selected", action="unarchive", ids=str(seeded.failed))
    assert seeded.failed in listed(page(client, "/runs"))


def test_all_runs_that_match_are_chosen_at_once(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    soup = page(client, "/runs?filter=status+%3D+succeeded+or+pinned&dataset=digits")
    assert not soup.select('a[href*="matching"]')  # all of them are on this page
    address = "/runs/selected?matching=yes&back=filter%3Dstatus%2B%253D%2Bsucceeded"
    soup = page(client, address)
    assert text_of(soup.h1) == "Chosen: 4 runs"
    archive = next(a for a in soup.select("main a.button") if text_of(a).startswith("Archive"))
    form = page(client, archive["href"]).select_one('form[action="/runs/selected"]')
    assert form.select_one("[name=ids]")["value"] == "6,3,2,1"
    assert "No run is chosen" in text_of(page(client, "/runs/selected?action=delete").main)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "explode", "ids": "1"}, 422),
        ({"action": "delete", "ids": "one"}, 422),
        ({"action": "delete", "ids": "99999999999"}, 422),
        ({"action": "tag", "ids": "1", "tags": " , "}, 422),
    ],
)
def test_forms_that_make_no_sense_change_nothing(
    client: TestClient, seeded: Seeded, store: Store, fields: dict[str, str], status: int
) -> None:
    assert send(client, "/runs/selected", **fields).status_code == status
    assert client.post("/runs/selected", data=fields).status_code == 403  # without the token
    assert len(list_runs(store).rows) == 9


def test_the_baselines_of_many_datasets_do_not_hide_the_list(
    client: TestClient, seeded: Seeded, store: Store
) -> None:
    pin(store, 9)  # waits for its dataset
    soup = page(client, "/runs?dataset=digits")
    assert not soup.select(".pinned-rows")  # no run of that dataset is shown
    assert [row["id"] for row in page(client, "/runs").select(".pinned-rows tr")] == ["run-9"]
