from __future__ import annotations

import json

import pytest

from store.datasets import dataset_failed, dataset_ready, get_dataset, register_dataset
from store.lifecycle import claim, finish
from tests.app.conftest import FINISHED, SPEC, assert_problem, epoch_event
from trainer.parsing import parse_spec
from trainer.spec import spec_yaml


def test_a_submitted_run_is_queued_and_both_bells_ring(client, bell, store):
    answer = client.post("/api/v1/runs?priority=5&note=hello", json=SPEC)
    assert answer.status_code == 201
    run = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert (run["status"], run["owner"], run["priority"]) == ("queued", "local", 5)
    assert run["note"] == "hello"
    assert run["url"] == f"/runs/{run['id']}"
    assert run["queue"] == {"position": 1, "ahead": 0, "waiting_for": "dataset"}
    assert run["spec"]["training"]["epochs"] == 2
    assert bell.rings == ["interactive", "train"]
    assert get_dataset(store, "digits").status == "preparing"


def test_only_the_training_bell_rings_once_the_dataset_is_ready(client, bell, pictures):
    answer = client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "pictures"}})
    assert answer.status_code == 201
    assert bell.rings == ["train"]
    assert answer.json()["queue"]["waiting_for"] == "worker"


@pytest.mark.parametrize("media_type", ["application/yaml", "application/x-yaml", "text/yaml"])
def test_a_spec_may_be_yaml(client, media_type):
    text = spec_yaml(parse_spec({**SPEC, "name": "Grüße"}))
    headers = {"content-type": f"{media_type}; charset=utf-8"}
    answer = client.post("/api/v1/runs", content=text.encode(), headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == "Grüße"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_media_types_are_refused_with_those_accepted(client, media_type):
    headers = {"content-type": media_type} if media_type else {}
    answer = client.post("/api/v1/runs", content=json.dumps(SPEC).encode(), headers=headers)
    problem = assert_problem(answer, 415)
    assert "application/json" in problem["detail"]
    assert "application/yaml" in problem["detail"]
    assert "application/json" in answer.headers["accept-post"]


def test_every_wrong_field_is_named_with_value_expectation_and_remedy(client, bell):
    spec = {
        "dataset": {"name": "digits"},
        "model": {"architecture": "resnet81"},
        "optimizer": {"lr": 30, "learning_rate": 1},
    }
    problem = assert_problem(client.post("/api/v1/runs", json=spec), 422, "Invalid input")
    found = {error["field"]: error for error in problem["errors"]}
    assert set(found) == {"model.architecture", "optimizer.lr", "optimizer.learning_rate"}
    assert "resnet18" in found["model.architecture"]["remedy"]
    assert found["optimizer.lr"]["value"] == 30
    assert "10" in found["optimizer.lr"]["expected"]
    assert bell.rings == []


def test_an_unknown_dataset_is_refused_with_the_nearest_names(client, bell):
    answer = client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "digist"}})
    [error] = assert_problem(answer, 422)["errors"]
    assert error["field"] == "dataset.name"
    assert error["value"] == "digist"
    assert "`digits`" in error["remedy"]
    assert client.get("/api/v1/datasets").json()["datasets"] == []
    assert bell.rings == []


def test_a_dataset_that_failed_is_refused_with_its_reason(client, store):
    row = register_dataset(store, "broken", "folder", "/somewhere", "local")
    dataset_failed(store, row.id, {"title": "No", "detail": "It is empty.", "remedy": "Fill it."})
    answer = client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "broken"}})
    [error] = assert_problem(answer, 422)["errors"]
    assert error["field"] == "dataset.name"
    assert error["remedy"].startswith("It is empty. Fill it.")


def test_a_weight_file_must_lie_in_an_opened_folder(client, tmp_path):
    inside = tmp_path / "open" / "weights.pt"
    outside = tmp_path / "weights.pt"
    for file in (inside, outside):
        file.write_bytes(b"weights")
    link = tmp_path / "open" / "link.pt"
    link.symlink_to(outside)

    def submit(path: object):
        return client.post("/api/v1/runs", json={**SPEC, "model": {"weights": str(path)}})

    assert submit(inside).status_code == 201
    missing = tmp_path / "open" / "missing.pt"
    for refused in (outside, link, missing, "open/weights.pt", "/etc/passwd.pt", "a\0b.pt"):
        [error] = assert_problem(submit(refused), 422)["errors"]
        assert error["field"] == "model.weights", refused
        assert "TUNEBOARD_DATA_ROOTS" in error["remedy"]


def test_a_run_for_cuda_is_accepted_and_says_that_it_waits_for_a_worker(client, pictures):
    spec = {**SPEC, "dataset": {"name": "pictures"}, "training": {"device": "cuda"}}
    run = client.post("/api/v1/runs", json=spec).json()
    assert run["queue"]["waiting_for"] == "worker"


def test_an_idempotency_key_makes_one_run(client, bell):
    headers = {"idempotency-key": "k1"}
    first = client.post("/api/v1/runs", json=SPEC, headers=headers)
    again = client.post("/api/v1/runs", json=SPEC, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = client.post("/api/v1/runs", json={**SPEC, "name": "other"}, headers=headers)
    assert_problem(other, 409, "Conflict")
    long = client.post("/api/v1/runs", json=SPEC, headers={"idempotency-key": "k" * 201})
    assert_problem(long, 422)
    assert len(client.get("/api/v1/runs").json()["runs"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"dataset": {"name": "\\ud800"}}',
        b"[]",
        b"null",
        b'{"dataset": {"name": "digits"}, "optimizer": {"lr": NaN}}',
    ],
)
def test_broken_json_is_refused_in_our_shape(client, body):
    headers = {"content-type": "application/json"}
    assert_problem(client.post("/api/v1/runs", content=body, headers=headers), 422)


def test_a_yaml_document_that_its_aliases_blow_up_is_refused_quickly(client):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    bombs = ["\n".join(lines), "a: &a [*a]", "[" * 50_000, "a: 2020-99-99", "!!python/name:os"]
    for bomb in bombs:
        answer = client.post(
            "/api/v1/runs", content=bomb.encode(), headers={"content-type": "application/yaml"}
        )
        problem = assert_problem(answer, 422)
        assert len(problem["detail"]) < 1000


def test_a_spec_beyond_the_size_limit_is_refused(client):
    headers = {"content-type": "application/yaml"}
    answer = client.post("/api/v1/runs", content=b"#" * 300_000, headers=headers)
    assert "256 KiB" in assert_problem(answer, 413)["detail"]


def test_an_unknown_study_is_refused(client):
    assert_problem(client.post("/api/v1/runs?study=77", json=SPEC), 404)


def test_runs_are_listed_newest_first_by_pages(client):
    ids = [client.post("/api/v1/runs", json=SPEC).json()["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = client.get("/api/v1/runs", params=query).json()
        seen += [run["id"] for run in page["runs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_runs_are_filtered(client, pictures):
    first = client.post("/api/v1/runs", json={**SPEC, "name": "Ants and bees"}).json()["id"]
    second = client.post("/api/v1/runs", json={**SPEC, "dataset": {"name": "pictures"}}).json()[
        "id"
    ]
    client.post(f"/api/v1/runs/{first}/cancel")

    def ids(**query: object) -> list[int]:
        return [run["id"] for run in client.get("/api/v1/runs", params=query).json()["runs"]]

    assert ids(status="cancelled") == [first]
    assert ids(status=["queued", "cancelled"]) == [second, first]
    assert ids(dataset="pictures") == [second]
    assert ids(q="ANTS") == [first]
    assert ids(study=1) == []
    for wrong in ({"status": "lost"}, {"limit": 0}, {"limit": "x"}, {"cursor": "x"}):
        assert_problem(client.get("/api/v1/runs", params=wrong), 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "/cancel"),
        ("GET", "/events"),
        ("POST", "/events"),
        ("GET", "/series"),
        ("GET", "/log"),
        ("GET", "/evaluations"),
    ],
)
def test_an_unknown_run_is_not_found(client, method, path):
    body = {"PATCH": {"note": ""}, "POST": []}.get(method)
    assert_problem(client.request(method, f"/api/v1/runs/12{path}", json=body), 404, "Not found")
    for wrong in ("0", "x", str(2**31)):
        answer = client.request(method, f"/api/v1/runs/{wrong}{path}", json=body)
        assert_problem(answer, 422)


def test_a_wrong_method_is_named_with_the_right_ones(client, run_id):
    answer = client.put(f"/api/v1/runs/{run_id}", json={})
    assert_problem(answer, 405)
    assert "GET" in answer.headers["allow"]


def test_a_queued_run_is_cancelled_at_once_and_an_ended_one_not_again(client, run_id):
    run = client.post(f"/api/v1/runs/{run_id}/cancel").json()
    assert run["status"] == "cancelled"
    assert_problem(client.post(f"/api/v1/runs/{run_id}/cancel"), 409, "Conflict")


def test_a_running_run_is_asked_to_stop(client, store, run_id):
    row = get_dataset(store, "digits")
    dataset_ready(store, row.id, "abc", {"classes": ["0", "1"]})
    claimed = claim(store, "worker", device="cpu", lease_s=60)
    run = client.post(f"/api/v1/runs/{run_id}/cancel").json()
    assert (run["status"], run["cancel_requested"]) == ("running", True)
    finish(store, run_id, claimed.attempt, "cancelled")
    assert client.get(f"/api/v1/runs/{run_id}").json()["status"] == "cancelled"


def test_a_note_is_written(client, run_id):
    answer = client.patch(f"/api/v1/runs/{run_id}", json={"note": "the good one"})
    assert answer.json()["note"] == "the good one"
    assert_problem(client.patch(f"/api/v1/runs/{run_id}", json={"name": "x"}), 422)
    assert_problem(client.patch(f"/api/v1/runs/{run_id}", json={"note": "x" * 20_001}), 422)
    text = client.patch(
        f"/api/v1/runs/{run_id}", content=b'{"note": "x"}', headers={"content-type": "text/plain"}
    )
    assert_problem(text, 415)


def test_a_script_reports_an_external_run(client, bell, external_id):
    assert bell.rings == []
    url = f"/api/v1/runs/{external_id}"
    answer = client.post(f"{url}/events", json=[epoch_event(1), epoch_event(2)])
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 2
    assert answer.json()["run"]["epoch"] == 2
    lines = json.dumps({"kind": "log", "time": 2.5, "message": "done"}) + "\n\n"
    lines += json.dumps(FINISHED)
    headers = {"content-type": "application/x-ndjson"}
    run = client.post(f"{url}/events", content=lines.encode(), headers=headers).json()["run"]
    assert run["status"] == "succeeded"
    assert run["metrics"]["val_accuracy"] == {
        "last": 0.2,
        "best": 0.2,
        "best_epoch": 2,
        "minimum": 0.1,
        "maximum": 0.2,
        "points": 2,
    }
    assert run["elapsed_s"] == 3.0
    assert client.get(f"{url}/log").json()["lines"][0]["message"] == "done"
    assert_problem(client.post(f"{url}/events", json=[epoch_event(3)]), 409)


def test_a_wrong_event_is_named_and_none_is_stored(client, external_id):
    url = f"/api/v1/runs/{external_id}/events"
    before = client.get(url).json()["last_seq"]
    wrong = [
        ([epoch_event(1), epoch_event(2, val_loss="x")], "events.1.val_loss"),
        ([epoch_event(1, color="red")], "events.0.color"),
        ([{"kind": "party", "time": 1}], "events.0"),
        ([1], "events.0"),
        ({"kind": "log"}, "events"),
    ]
    for events, field in wrong:
        problem = assert_problem(client.post(url, json=events), 422)
        assert problem["errors"][0]["field"] == field
    assert client.get(url).json()["last_seq"] == before
    headers = {"content-type": "application/jsonl"}
    assert_problem(client.post(url, content=b"{}\n{", headers=headers), 422)
    assert_problem(client.post(url, content=b"[]", headers={"content-type": "text/plain"}), 415)


def test_a_run_of_tuneboards_own_takes_no_events(client, run_id):
    assert_problem(client.post(f"/api/v1/runs/{run_id}/events", json=[epoch_event(1)]), 409)


def test_events_are_read_by_pages(client, external_id):
    url = f"/api/v1/runs/{external_id}/events"
    client.post(url, json=[epoch_event(number) for number in (1, 2, 3)])
    first = client.get(url, params={"limit": 2}).json()
    assert [event["seq"] for event in first["events"]] == [1, 2]
    assert first["more"] is True
    rest = client.get(url, params={"after": first["last_seq"]}).json()
    assert [event["seq"] for event in rest["events"]] == [3, 4]
    assert rest["events"][0]["payload"]["epoch"] == 2
    assert rest["more"] is False
    assert client.get(url, params={"after": 99}).json()["last_seq"] == 99


def test_series_come_in_columns_with_null_for_what_is_not_finite(client, external_id):
    url = f"/api/v1/runs/{external_id}"
    client.post(f"{url}/events", json=[epoch_event(1), epoch_event(2, val_loss="NaN")])
    answer = client.get(f"{url}/series", params={"name": ["val_loss", "nothing"]}).json()
    assert answer["series"]["val_loss"] == {
        "step": [10, 20],
        "epoch": [1.0, 2.0],
        "elapsed_s": [1.5, 3.0],
        "value": [2.0, None],
        "points_total": 2,
        "sampled": False,
    }
    assert answer["series"]["nothing"]["value"] == []
    assert "val_accuracy" in answer["names"]
    assert set(client.get(f"{url}/series").json()["series"]) == set(answer["names"])


def test_a_long_series_is_sampled_and_says_so(client, external_id):
    count = 5000
    event = {
        "kind": "steps_recorded",
        "time": 1.0,
        "epoch": 1,
        "steps": list(range(1, count + 1)),
        "elapsed_s": [0.1] * count,
        "loss": [1000.0 if step == 1234 else 1.0 for step in range(count)],
        "learning_rate": [0.1] * count,
    }
    url = f"/api/v1/runs/{external_id}"
    assert client.post(f"{url}/events", json=[event]).status_code == 200
    query = {"name": "batch_loss", "max_points": 100}
    columns = client.get(f"{url}/series", params=query).json()["series"]["batch_loss"]
    assert (columns["sampled"], columns["points_total"]) == (True, count)
    assert len(columns["value"]) <= 100
    assert max(columns["value"]) == 1000.0
    assert_problem(client.get(f"{url}/series", params={"max_points": 3}), 422)


def test_evaluations_are_shown(client, external_id):
    event = {
        "kind": "evaluated",
        "time": 1.0,
        "split": "val",
        "epoch": 1,
        "accuracy": 0.75,
        "loss": 0.5,
        "samples": 4,
        "samples_fingerprint": "abc",
        "confusion": [[2, 0], [1, 1]],
        "classes": [
            {"name": name, "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
            for name in ("ants", "bees")
        ],
        "predictions_file": "predictions/val.npz",
    }
    url = f"/api/v1/runs/{external_id}"
    assert client.post(f"{url}/events", json=[event]).status_code == 200
    [evaluation] = client.get(f"{url}/evaluations").json()["evaluations"]
    assert evaluation["confusion"] == [[2, 0], [1, 1]]
    assert evaluation["classes"][1]["name"] == "bees"
    assert evaluation["calibration_error"] is None  # an older script's event tells none
    told = {"macro_f1": 0.5, "top5_accuracy": 0.9, "calibration_error": 0.1}
    assert client.post(f"{url}/events", json=[event | told]).status_code == 200
    [evaluation] = client.get(f"{url}/evaluations").json()["evaluations"]
    assert {name: evaluation[name] for name in told} == told


def test_an_external_run_is_cancelled_at_once(client, external_id):
    assert client.post(f"/api/v1/runs/{external_id}/cancel").json()["status"] == "cancelled"
    url = f"/api/v1/runs/{external_id}/events"
    assert_problem(client.post(url, json=[epoch_event(1)]), 409)
