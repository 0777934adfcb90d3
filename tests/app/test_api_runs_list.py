"""The run list over the API: filtered, sorted, in columns; many runs changed at once; views."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from store.database import Store
from store.runs import create_run
from store.settings import Settings
from tests.app.conftest import FakeBell, assert_problem
from tests.seeding import Seeded, run_spec

RUNS = "/api/v1/runs"


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.json()["runs"]]


def test_a_filter_a_sort_and_columns_work_together(client: TestClient, seeded: Seeded) -> None:
    answer = client.get(
        RUNS,
        params={
            "filter": "best_val_accuracy > 50% and not architecture ~ efficientnet",
            "sort": "-best_val_accuracy",
            "columns": ["name,optimizer.lr", "best_val_accuracy,curve_val_loss,val.accuracy"],
        },
    )
    assert ids(answer) == [seeded.scratch, seeded.running]
    first = answer.json()["table"][0]
    assert list(first) == [
        "name",
        "optimizer.lr",
        "best_val_accuracy",
        "curve_val_loss",
        "val.accuracy",
    ]
    assert first["name"] == "small CNN from scratch"
    assert first["optimizer.lr"] == 0.001
    assert len(first["curve_val_loss"]) == 12
    assert 0 < first["val.accuracy"] <= 1
    assert answer.json()["table"][1]["val.accuracy"] is None


def test_pages_of_a_sort_follow_each_other(client: TestClient, seeded: Seeded) -> None:
    seen: list[int] = []
    cursor: str | None = None
    while True:
        query = {"sort": "-last_val_loss", "limit": "4"} | ({"cursor": cursor} if cursor else {})
        answer = client.get(RUNS, params=query)
        seen += ids(answer)
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == list(range(1, 10))
    assert_problem(client.get(RUNS, params={"sort": "name", "cursor": "nonsense"}), 422)


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ({"filter": "optimizer.lrr < 1"}, "filter", "at character 1"),
        ({"filter": "lr < 1 adn tag = x"}, "filter", "at character 8"),
        ({"sort": "speed"}, "sort", "to sort by"),
        ({"columns": "lr,speed"}, "columns", "the name of a column"),
        ({"columns": "lr," + ",".join(f"best_val_{n}" for n in range(50))}, "columns", "column"),
        ({"archived": "maybe"}, "archived", ""),
    ],
)
def test_what_cannot_be_is_named(
    client: TestClient, query: dict[str, str], field: str, told: str
) -> None:
    (problem,) = assert_problem(client.get(RUNS, params=query), 422)["errors"]
    assert problem["field"].endswith(field)
    assert told in problem["message"]


def test_fields_say_what_there_is(client: TestClient, seeded: Seeded) -> None:
    fields = {one["name"]: one for one in client.get(f"{RUNS}/fields").json()["fields"]}
    assert fields["optimizer.lr"]["kind"] == "number"
    assert fields["scheduler.name"]["values"][:2] == ["none", "step"]
    assert fields["dataset"]["values"] == ["digits", "flowers", "hymenoptera"]
    assert fields["best_val_accuracy"]["unit"] == "%"
    assert fields["curve_val_loss"]["filters"] is False
    assert fields["tag"]["sorts"] is False
    assert "best_batch_loss" in fields  # a metric that only exists because a run recorded it


def test_a_run_is_tagged_and_pinned(client: TestClient, seeded: Seeded) -> None:
    one, other = f"{RUNS}/{seeded.tuned}", f"{RUNS}/{seeded.frozen}"
    run = client.patch(one, json={"tags": [" paper ", "week  48", "paper"], "pinned": True}).json()
    assert (run["tags"], run["pinned"]) == (["paper", "week 48"], True)
    assert client.patch(other, json={"pinned": True}).json()["pinned"] is True
    assert client.get(one).json()["pinned"] is False  # one to a dataset
    assert client.patch(one, json={"note": "n"}).json()["tags"] == ["paper", "week 48"]
    assert client.patch(one, json={"tags": []}).json()["tags"] == []
    for tags in (["a,b"], [""], ["x" * 61], [str(number) for number in range(21)]):
        assert_problem(client.patch(one, json={"tags": tags}), 422)
    assert_problem(client.patch(f"{RUNS}/4711", json={"tags": ["a"]}), 404)
    assert_problem(client.patch(f"{RUNS}/4711", json={"pinned": True}), 404)


def bulk(client: TestClient, action: str, **body: object) -> dict[str, Any]:
    answer = client.post(f"{RUNS}/bulk", json={"action": action, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_many_runs_are_tagged_and_archived(client: TestClient, seeded: Seeded) -> None:
    done = bulk(client, "tag", filter="status = succeeded", tags=["done"])
    assert sorted(done["runs"]) == [seeded.scratch, seeded.frozen, seeded.tuned, seeded.script]
    bulk(client, "untag", ids=[seeded.script], tags=["done", "never there"])
    assert ids(client.get(RUNS, params={"filter": "tag = done", "sort": "id"})) == [1, 2, 3]

    done = bulk(client, "archive", ids=[seeded.failed, seeded.running, 4711])
    assert done["runs"] == [seeded.failed]
    assert {item["run"]: item["reason"] for item in done["refused"]} == {
        seeded.running: "It is running; only ended runs are archived.",
        4711: "There is no such run.",
    }
    assert seeded.failed not in ids(client.get(RUNS))
    assert ids(client.get(RUNS, params={"archived": "yes"})) == [seeded.failed]
    assert len(ids(client.get(RUNS, params={"archived": "all"}))) == 9
    assert_problem(client.patch(f"{RUNS}/{seeded.failed}", json={"pinned": True}), 409)
    bulk(client, "unarchive", filter="archived")
    assert seeded.failed in ids(client.get(RUNS))


def test_many_runs_are_cancelled(client: TestClient, seeded: Seeded, bell: FakeBell) -> None:
    done = bulk(client, "cancel", filter="status in (queued, running, failed)")
    assert sorted(done["runs"]) == [seeded.running, seeded.queued, 9]
    assert done["refused"] == [{"run": seeded.failed, "reason": "It has failed already."}]
    assert client.get(f"{RUNS}/{seeded.queued}").json()["status"] == "cancelled"
    assert client.get(f"{RUNS}/{seeded.running}").json()["cancel_requested"] is True


def test_a_deletion_says_what_it_frees_before_and_after(
    client: TestClient, seeded: Seeded, settings: Settings
) -> None:
    folder = settings.attempt_dir(seeded.tuned, 1)
    folder.mkdir(parents=True)
    (folder / "best.safetensors").write_bytes(b"x" * 2048)
    asked = {"ids": [seeded.tuned, seeded.running]}
    plan = bulk(client, "delete", **asked, dry_run=True)
    assert (plan["runs"], plan["freed_bytes"]) == ([seeded.tuned], 2048)
    assert folder.exists()
    assert bulk(client, "delete", **asked) == plan
    assert not folder.exists()
    assert_problem(client.get(f"{RUNS}/{seeded.tuned}"), 404)


def test_one_run_is_deleted_unless_it_is_live(client: TestClient, seeded: Seeded) -> None:
    problem = assert_problem(client.delete(f"{RUNS}/{seeded.running}"), 409)
    assert "cancel it first" in problem["detail"]
    assert client.delete(f"{RUNS}/{seeded.failed}").json()["runs"] == [seeded.failed]
    assert_problem(client.delete(f"{RUNS}/{seeded.failed}"), 404)


@pytest.mark.parametrize(
    "body",
    [
        {"action": "explode", "ids": [1]},
        {"action": "delete"},
        {"action": "delete", "ids": [1], "filter": "pinned"},
        {"action": "delete", "filter": " "},
        {"action": "delete", "filter": "statos = failed"},
        {"action": "tag", "ids": [1]},
        {"action": "tag", "ids": [1], "tags": ["a,b"]},
        {"action": "tag", "ids": [0], "tags": ["a"]},
        {"action": "tag", "ids": [1], "tags": ["a"], "surprise": 1},
    ],
)
def test_bulk_requests_that_make_no_sense_change_nothing(
    client: TestClient, store: Store, body: dict[str, object]
) -> None:
    create_run(store, run_spec("one"), owner="ann")
    assert_problem(client.post(f"{RUNS}/bulk", json=body), 422)
    assert client.get(f"{RUNS}/1").json()["tags"] == []


def test_views_are_saved_renamed_and_forgotten(client: TestClient) -> None:
    query = "filter=tag+%3D+paper&sort=-best_val_accuracy&cursor=12&done=delete"
    answer = client.post("/api/v1/views", json={"name": " Best  papers ", "query": "?" + query})
    assert answer.status_code == 201
    view = answer.json()
    assert view["name"] == "Best papers"
    assert view["url"] == "/runs?filter=tag+%3D+paper&sort=-best_val_accuracy"
    assert client.get(answer.headers["location"]).json() == view
    changed = client.patch(f"/api/v1/views/{view['id']}", json={"name": "Papers"}).json()
    assert (changed["name"], changed["query"]) == ("Papers", view["query"])
    assert client.get("/api/v1/views").json()["views"] == [changed]
    for body in (
        {"name": "", "query": ""},
        {"name": "x", "query": "filter=nothing+here"},
        {"name": "x", "query": "sort=speed"},
        {"name": "x", "query": "status=dancing"},
        {"name": "x", "query": "q=" + "y" * 6000},
    ):
        assert_problem(client.post("/api/v1/views", json=body), 422)
    assert client.delete(f"/api/v1/views/{view['id']}").status_code == 204
    for method in ("get", "delete"):
        assert_problem(getattr(client, method)(f"/api/v1/views/{view['id']}"), 404)
    assert_problem(client.patch(f"/api/v1/views/{view['id']}", json={"name": "x"}), 404)
