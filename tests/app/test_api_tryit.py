"""Trying a trained model through the API: what is queued, what is refused, pictures of a job."""

from __future__ import annotations

import io
import json
import threading

import pytest
from PIL import Image

from store import jobs
from tests.app.conftest import assert_problem


@pytest.fixture
def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


def answered(store, settings, job_id: int, result: dict, **files: bytes):
    """Do a job as the interactive worker would."""
    row = jobs.claim_job(store, 60, ("model",))
    assert row.id == job_id
    folder = settings.job_dir(job_id)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.png").write_bytes(content)
    known = {name: f"{name}.png" for name in files}
    assert jobs.job_succeeded(store, row, {**result, "files": known})


def test_an_image_is_queued_for_the_hand_that_keeps_models(
    client, store, settings, seeded, bell, png
):
    answer = client.post(
        f"/api/v1/runs/{seeded.tuned}/classify", files={"file": ("a bee.png", png, "image/png")}
    )
    assert answer.status_code == 202, answer.text
    said = answer.json()
    assert (said["kind"], said["run"], said["state"]) == ("classify", seeded.tuned, "queued")
    assert said["request"]["image"] == {"name": "a bee.png"}
    assert bell.rings == ["interactive"]
    row = jobs.claim_job(store, 60, ("model",))
    assert row.id == said["id"]
    sent = settings.job_inputs_dir(row.payload["inputs"]) / "00000"
    assert sent.read_bytes() == png


def test_a_quick_or_long_hand_does_not_take_it(client, store, seeded, png):
    client.post(f"/api/v1/runs/{seeded.tuned}/classify", files={"file": ("a.png", png)})
    assert jobs.claim_job(store, 60, ("quick", "long")) is None


@pytest.mark.parametrize(
    ("kind", "document", "kept"),
    [
        ("classify", {"image": {"index": 3}}, {"image": {"split": "val", "index": 3}}),
        ("gradcam", {"image": {"index": 0}, "class": "bee"}, {"class": "bee"}),
        ("features", {"image": {"index": 0}, "module": "layer1"}, {"module": "layer1", "page": 1}),
    ],
)
def test_an_evaluated_image_is_named_by_its_place(client, seeded, kind, document, kept):
    answer = client.post(f"/api/v1/runs/{seeded.tuned}/{kind}", json=document)
    assert answer.status_code == 202, answer.text
    assert kept.items() <= answer.json()["request"].items()


def test_the_image_of_an_earlier_job_need_not_be_sent_again(client, seeded, png):
    url = f"/api/v1/runs/{seeded.tuned}"
    first = client.post(f"{url}/classify", files={"file": ("a.png", png)}).json()
    second = client.post(f"{url}/gradcam", json={"image": {"job": first["id"]}}).json()
    assert second["request"]["image"] == {"name": "a.png", "job": first["id"]}
    third = client.post(
        f"{url}/features", json={"image": {"job": second["id"]}, "module": "layer1"}
    ).json()
    assert third["request"]["image"] == {"name": "a.png", "job": first["id"]}


@pytest.mark.parametrize(
    ("kind", "document", "field"),
    [
        ("classify", {}, "image"),
        ("classify", {"image": {}}, "image"),
        ("classify", {"image": {"index": 1, "job": 1}}, "image"),
        ("classify", {"image": {"index": 10**6}}, "image.index"),
        ("classify", {"image": {"index": 0}, "more": 1}, "more"),
        ("features", {"image": {"index": 0}}, "module"),
        ("features", {"image": {"index": 0}, "module": "x", "page": 0}, "page"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_field(client, seeded, kind, document, field):
    answer = client.post(f"/api/v1/runs/{seeded.tuned}/{kind}", json=document)
    problem = assert_problem(answer, 422)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_refused_image_does_not_stay(client, settings, seeded, png):
    url = f"/api/v1/runs/{seeded.tuned}"
    two = [("file", ("a.png", png)), ("file", ("b.png", png))]
    problem = assert_problem(client.post(f"{url}/classify", files=two), 422)
    assert "predictions" in problem["detail"]
    assert_problem(client.post(f"{url}/features", files={"file": ("a.png", png)}), 422)
    assert list(settings.job_inputs_dir().iterdir()) == []


def test_only_a_run_with_a_model_is_tried(client, seeded, external_id, run_id):
    for number, word in ((external_id, "script"), (run_id, "queued")):
        for method, path in (("POST", "classify"), ("GET", "modules")):
            given = {"json": {"image": {"index": 0}}} if method == "POST" else {}
            answer = client.request(method, f"/api/v1/runs/{number}/{path}", **given)
            assert word in assert_problem(answer, 409)["detail"]
    assert_problem(client.get("/api/v1/runs/99999/modules"), 404)
    assert_problem(client.post("/api/v1/runs/99999/classify", json={}), 404)
    answer = client.post(f"/api/v1/runs/{seeded.tuned}/classify", content=b"x")
    assert_problem(answer, 415)


def test_a_body_larger_than_any_photo_is_refused(client, seeded):
    answer = client.post(
        f"/api/v1/runs/{seeded.tuned}/classify",
        content=b"",
        headers={"content-type": "multipart/form-data; boundary=x", "content-length": "99000000"},
    )
    assert_problem(answer, 413)


def test_pictures_come_as_png_that_may_be_kept(client, store, settings, seeded, png):
    url = f"/api/v1/runs/{seeded.tuned}/gradcam"
    job = client.post(url, json={"image": {"index": 0}}).json()
    assert_problem(client.get(f"/api/v1/jobs/{job['id']}/images/heat.png"), 409)
    answered(store, settings, job["id"], {}, heat=png)
    answer = client.get(f"/api/v1/jobs/{job['id']}/images/heat.png")
    assert answer.content == png
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    problem = assert_problem(client.get(f"/api/v1/jobs/{job['id']}/images/other.png"), 404)
    assert "heat" in problem["remedy"]
    (settings.job_dir(job["id"]) / "heat.png").unlink()
    assert_problem(client.get(f"/api/v1/jobs/{job['id']}/images/heat.png"), 404)


def test_waiting_returns_the_answer_with_the_request(client, store, settings, seeded):
    def work() -> None:
        for _ in range(1000):
            row = jobs.claim_job(store, 60, ("model",))
            if row is not None:
                jobs.job_succeeded(store, row, {"modules": []})
                return
            threading.Event().wait(0.01)

    worker = threading.Thread(target=work)
    worker.start()
    answer = client.get(f"/api/v1/runs/{seeded.tuned}/modules?wait_s=20")
    worker.join()
    assert answer.status_code == 200
    assert answer.json()["result"] == {"modules": []}


def test_the_api_describes_both_ways_to_name_an_image(client):
    document = client.get("/api/v1/openapi.json").json()
    body = document["paths"]["/api/v1/runs/{run_id}/features"]["post"]["requestBody"]["content"]
    assert "file" in body["multipart/form-data"]["schema"]["properties"]
    assert "module" in json.dumps(body["application/json"])
