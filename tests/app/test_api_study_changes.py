"""What is done with a study after its launch, through the API: changed, stopped, extended, told."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from store.database import Store
from store.settings import Settings
from tests.app.conftest import SPEC, assert_problem
from tests.seeding import Teller, add_digits, claim


def launched(client: TestClient, count: int = 2, **more: Any) -> dict[str, Any]:
    runs = [
        {**SPEC, "name": f"rate {n}", "optimizer": {"lr": 0.1 * n}} for n in range(1, count + 1)
    ]
    answer = client.post("/api/v1/studies", json={"name": "Rates", "runs": runs, **more})
    assert answer.status_code == 201, answer.text
    study: dict[str, Any] = answer.json()
    return study


def trained(store: Store, run_id: int, top: float) -> None:
    Teller(store, run_id, claim(store, run_id), epochs=2, top=top).whole()


def test_name_note_and_webhook_are_changed_alone_or_together(client: TestClient) -> None:
    url = f"/api/v1/studies/{launched(client)['id']}"
    changed = client.patch(url, json={"note": "**why**"}).json()
    assert (changed["name"], changed["note"], changed["webhook"]) == ("Rates", "**why**", "")
    hook = {"webhook": "https://lab.example/x", "webhook_runs": True, "name": "  New\n name "}
    changed = client.patch(url, json=hook).json()
    assert (changed["name"], changed["note"]) == ("New name", "**why**")
    told = client.get(f"{url}/webhook").json()
    assert (told["url"], told["each_run"], told["deliveries"]) == (hook["webhook"], True, [])
    assert len(told["secret"]) > 30
    assert "secret" not in client.get(url).text
    for wrong in ({"name": " "}, {"webhook": "http://127.0.0.1/"}, {"colour": 1}):
        assert_problem(client.patch(url, json=wrong), 422)
    assert_problem(client.patch("/api/v1/studies/99", json={"note": "x"}), 404)


def test_a_webhook_given_at_launch_is_checked_and_tested(client: TestClient) -> None:
    problem = assert_problem(
        client.post("/api/v1/studies", json={"name": "x", "runs": [SPEC], "webhook": "ftp://x"}),
        422,
    )
    assert problem["errors"][0]["field"] == "webhook"
    study = launched(client, webhook="https://lab.example/x")
    assert study["webhook"] == "https://lab.example/x"
    sent = client.post(f"/api/v1/studies/{study['id']}/webhook/test")
    assert sent.status_code == 202
    [one] = sent.json()["deliveries"]
    assert (one["event"], one["state"], one["outcomes"]) == ("test", "queued", [])
    other = launched(client)
    assert_problem(client.post(f"/api/v1/studies/{other['id']}/webhook/test"), 409)


def test_a_study_is_stopped_in_whole_or_in_what_waits(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    study = launched(client, 3)
    url = f"/api/v1/studies/{study['id']}"
    claim(store, study["runs"][0]["id"])
    stopped = client.post(f"{url}/stop", json={"what": "waiting"}).json()
    assert stopped["counts"] == {"running": 1, "cancelled": 2}
    assert stopped["stopped_at"] is not None
    assert not stopped["is_over"]
    assert client.post(f"{url}/stop", json={}).json()["runs"][0]["cancel_requested"]
    other = launched(client, 1)
    ended = client.post(f"/api/v1/studies/{other['id']}/stop", json={}).json()
    assert ended["is_over"]
    assert ended["ended_at"] is not None
    assert_problem(client.post(f"/api/v1/studies/{other['id']}/stop", json={}), 409)
    assert_problem(client.post(f"{url}/stop", json={"what": "some"}), 422)


def test_each_setting_gets_the_seeds_after_its_own(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    study = launched(client)
    url = f"/api/v1/studies/{study['id']}/seeds"
    first = client.post(url, json={"count": 2})
    assert first.status_code == 201
    assert first.json()["added"] == 4
    again = client.post(url, json={}).json()
    runs = again["study"]["runs"]
    assert [(run["name"], run["spec"]["training"]["seed"]) for run in runs[2:]] == [
        ("rate 1, seed 1", 1),
        ("rate 1, seed 2", 2),
        ("rate 2, seed 1", 1),
        ("rate 2, seed 2", 2),
        ("rate 1, seed 3", 3),
        ("rate 2, seed 3", 3),
    ]
    assert_problem(client.post(url, json={"count": 21}), 422)
    for run in runs:
        client.post(f"/api/v1/runs/{run['id']}/cancel")
    assert_problem(client.post(url, json={}), 409)


def test_runs_join_a_study(client: TestClient) -> None:
    study, other = launched(client), launched(client)
    free = client.post("/api/v1/runs", json=SPEC).json()["id"]
    url = f"/api/v1/studies/{study['id']}/members"
    joined = client.post(url, json={"runs": [free]})
    assert [run["id"] for run in joined.json()["runs"]][-1] == free
    assert_problem(client.post(url, json={"runs": [other["runs"][0]["id"]]}), 409)
    assert_problem(client.post(url, json={"runs": [999]}), 404)
    assert_problem(client.post(url, json={"runs": []}), 422)


def test_studies_are_listed_with_their_best_and_filtered(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    study = launched(client)
    trained(store, study["runs"][0]["id"], 0.7)
    trained(store, study["runs"][1]["id"], 0.9)
    other = launched(client, 1, note="quite another")
    listed = client.get("/api/v1/studies").json()
    assert [one["id"] for one in listed["studies"]] == [other["id"], study["id"]]
    assert listed["studies"][0]["best"] is None
    assert listed["studies"][1]["best"]["run"] == study["runs"][1]["id"]
    assert (
        listed["studies"][1]["best"] == client.get(f"/api/v1/studies/{study['id']}").json()["best"]
    )

    def found(query: str) -> list[int]:
        return [one["id"] for one in client.get(f"/api/v1/studies?{query}").json()["studies"]]

    assert found("q=another") == [other["id"]]
    assert found("state=ended") == [study["id"]]
    assert found("owner=nobody") == []
    assert_problem(client.get("/api/v1/studies?state=odd"), 422)


def test_the_queue_is_listed_and_moved_and_workers_are_drained(
    client: TestClient, store: Store, settings: Settings
) -> None:
    add_digits(store, settings)
    first, second = (run["id"] for run in launched(client)["runs"])
    moved = client.post("/api/v1/queue/move", json={"run": second, "before": first})
    assert moved.json()["queue"]["position"] == 1
    assert [run["id"] for run in client.get("/api/v1/queue").json()["runs"]] == [second, first]
    assert_problem(client.post("/api/v1/queue/move", json={"run": 99}), 404)
    assert_problem(client.post("/api/v1/queue/move", json={"run": second, "before": second}), 422)
    assert_problem(client.post("/api/v1/workers/none/drain"), 404)
