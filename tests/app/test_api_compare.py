from __future__ import annotations

from app.figures.compare import RUNS_LIMIT
from tests.app.conftest import FINISHED, SPEC, assert_problem, epoch_event


def test_runs_are_compared_in_the_order_asked_for(client):
    ids = []
    for name in ("first", "second"):
        run = client.post("/api/v1/runs?external=true", json={**SPEC, "name": name}).json()["id"]
        client.post(f"/api/v1/runs/{run}/events", json=[epoch_event(1), epoch_event(2)])
        ids.append(run)
    answer = client.get("/api/v1/compare", params={"run": [ids[1], ids[0], ids[1]]})
    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert [run["id"] for run in payload["runs"]] == ids[::-1]
    assert len(payload["table"]) == 2
    assert "wall_clock" in payload["figures"]
    for figure in payload["figures"].values():
        assert {"data", "layout"} <= set(figure)


def test_among_equal_epochs_the_one_whose_weights_were_kept_is_the_best(client):
    run = client.post("/api/v1/runs?external=true", json=SPEC).json()["id"]
    epochs = [epoch_event(1, val_accuracy=0.2), epoch_event(2, val_accuracy=0.2)]
    client.post(f"/api/v1/runs/{run}/events", json=epochs)
    assert client.get(f"/api/v1/runs/{run}").json()["metrics"]["val_accuracy"]["best_epoch"] == 1
    client.post(f"/api/v1/runs/{run}/events", json=[FINISHED])  # by its loss, epoch 2 was better
    assert client.get(f"/api/v1/runs/{run}").json()["metrics"]["val_accuracy"]["best_epoch"] == 2
    [row] = client.get("/api/v1/compare", params={"run": run}).json()["table"]
    assert row["best_epoch"] == 2


def test_what_cannot_be_compared_is_refused(client, run_id):
    assert_problem(client.get("/api/v1/compare", params={"run": [run_id, 99]}), 404)
    assert_problem(client.get("/api/v1/compare"), 422)
    assert_problem(client.get("/api/v1/compare", params={"run": "x"}), 422)
    assert_problem(
        client.get("/api/v1/compare", params={"run": list(range(1, RUNS_LIMIT + 2))}), 422
    )
    assert_problem(client.post("/api/v1/compare"), 405)
