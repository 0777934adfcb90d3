"""Predictions, exports and votes: what is queued, refused, waited for and handed out."""

from __future__ import annotations

import io
import json
import threading
import time

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from app.uploads import remove_stale
from store import runs
from store.deletion import delete_runs
from store.jobs import beat_job, claim_job, create_job, get_job, job_failed, job_succeeded
from store.lifecycle import request_cancel
from tests.app.conftest import FINISHED, assert_problem
from tests.app.pages import page, send, text_of
from tests.seeding import Teller, add_digits, claim, run_spec

RESULT = {"classes": ["a"], "predictions": [], "total": 1}


def picture(colour: str = "red") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(written, "PNG")
    return written.getvalue()


def pictures(*names: str):
    return [("file", (name, picture(), "image/png")) for name in names]


@pytest.fixture(autouse=True)
def _digits(store, settings) -> None:
    add_digits(store, settings)


@pytest.fixture
def trained(store) -> int:
    """A run that has succeeded."""
    return succeeded(store)


@pytest.fixture
def deleted_meanwhile(store, settings, trained, monkeypatch) -> None:
    """Deletes the run between the look at it and the job."""

    def too_late(*args, **keywords):
        delete_runs(store, settings, [trained])
        return create_job(*args, **keywords)

    for module in ("app.api.jobs", "app.api.tryit", "app.tryit"):
        monkeypatch.setattr(f"{module}.create_job", too_late)


def succeeded(store, **evaluation) -> int:
    run, _ = runs.create_run(store, run_spec("small", training={"epochs": 1}), owner="local")
    Teller(store, run.id, claim(store, run.id), epochs=1, top=0.9).whole(**evaluation)
    return run.id


def test_images_are_kept_and_a_job_is_queued(client, store, settings, bell, trained):
    url = f"/api/v1/runs/{trained}/predictions"
    answer = client.post(url, files=pictures("ant.png", "x/../bee.png"))
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == job["url"] == f"/api/v1/jobs/{job['id']}"
    assert (job["kind"], job["run"], job["state"]) == ("predict", trained, "queued")
    assert job["file"] is None
    assert bell.rings == ["interactive"]
    inputs = settings.job_inputs_dir(get_job(store, job["id"]).payload["inputs"])
    listing = json.loads((inputs / "listing.json").read_text())
    assert [name for name, _ in listing] == ["ant.png", "x/../bee.png"]
    assert all(path.startswith(str(inputs)) for _, path in listing)
    assert {path.name for path in inputs.iterdir()} == {"00000", "00001", "listing.json"}
    assert (inputs / "00001").read_bytes() == picture()


def test_a_folder_on_the_server_must_be_an_opened_one(client, store, trained, tmp_path):
    url = f"/api/v1/runs/{trained}/predictions"
    folder = tmp_path / "open" / "new"
    folder.mkdir()
    job = client.post(url, json={"folder": str(folder)}).json()
    assert job["request"]["folder"] == str(folder)
    problem = assert_problem(client.post(url, json={"folder": str(tmp_path)}), 422)
    assert problem["errors"][0]["field"] == "folder"
    assert "TUNEBOARD_DATA_ROOTS" in problem["errors"][0]["remedy"]
    assert get_job(store, job["id"]).id == job["id"]


@pytest.mark.parametrize(
    ("body", "field"), [({}, "folder"), ({"folder": 3}, "folder"), ({"folder": "/x", "y": 1}, "y")]
)
def test_a_bad_body_names_its_field(client, trained, body, field):
    problem = assert_problem(client.post(f"/api/v1/runs/{trained}/predictions", json=body), 422)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_form_without_a_file_is_refused_and_leaves_nothing(client, settings, trained):
    url = f"/api/v1/runs/{trained}/predictions"
    answer = client.post(url, files={"note": (None, "no image")})
    assert assert_problem(answer, 422)["errors"][0]["field"] == "file"
    broken = client.post(
        url, content=b"--x\r\n", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert_problem(broken, 400)
    assert list(settings.job_inputs_dir().iterdir()) == []
    assert_problem(client.post(url, content=b"x", headers={"content-type": "image/png"}), 415)


def test_more_than_a_forms_usual_size_is_taken(client, trained):
    large = ("file", ("noise.png", b"x" * (5 * 1024**2), "image/png"))
    answer = client.post(f"/api/v1/runs/{trained}/predictions", files=[large])
    assert answer.status_code == 202


def test_an_export_is_queued(client, bell, trained):
    url = f"/api/v1/runs/{trained}/exports"
    job = client.post(url, json={"format": "torchscript"})
    assert job.status_code == 202
    assert job.json()["request"] == {"format": "torchscript", "file": f"run-{trained}.pt"}
    assert bell.rings == ["interactive"]
    problem = assert_problem(client.post(url, json={"format": "tflite"}), 422)
    assert "safetensors" in problem["errors"][0]["expected"]
    assert_problem(client.post(url, content=b"format: x"), 415)


@pytest.mark.parametrize(
    ("method", "what", "sent"),
    [
        ("POST", "exports", {"json": {"format": "safetensors"}}),
        ("POST", "predictions", {"files": pictures("a.png")}),
        ("POST", "classify", {"files": pictures("a.png")}),
        ("GET", "modules", {}),
    ],
)
def test_a_run_deleted_in_that_instant_is_not_there(
    client, deleted_meanwhile, trained, method, what, sent
):
    never = assert_problem(client.get("/api/v1/runs/99"), 404)
    answer = client.request(method, f"/api/v1/runs/{trained}/{what}", **sent)
    assert assert_problem(answer, 404) == {**never, "detail": f"There is no run {trained}."}


def test_the_page_of_a_run_deleted_in_that_instant_is_not_there(client, deleted_meanwhile, trained):
    never = page(client, "/runs/99", 404)
    answer = send(client, f"/runs/{trained}/export", format="safetensors")
    assert answer.status_code == 404
    found = text_of(BeautifulSoup(answer.text, "html.parser").main)
    assert found == text_of(never.main).replace("run 99", f"run {trained}")


@pytest.mark.parametrize("what", ["predictions", "exports"])
def test_a_run_without_a_model_is_refused(client, store, run_id, external_id, what):
    def ask(number: int):
        if what == "exports":
            return client.post(f"/api/v1/runs/{number}/exports", json={"format": "safetensors"})
        return client.post(f"/api/v1/runs/{number}/predictions", files=pictures("a.png"))

    assert "Wait" in assert_problem(ask(run_id), 409)["remedy"]
    request_cancel(store, run_id)
    assert "cancelled" in assert_problem(ask(run_id), 409)["detail"]
    client.post(f"/api/v1/runs/{external_id}/events", json=[FINISHED])
    assert "script" in assert_problem(ask(external_id), 409)["detail"]
    assert_problem(ask(999), 404)
    assert_problem(client.get(f"/api/v1/runs/{run_id}/{what}"), 405)


def test_a_job_is_waited_for(client, store, trained):
    job = client.post(f"/api/v1/runs/{trained}/predictions", files=pictures("a.png")).json()
    assert client.get(f"{job['url']}?wait_s=0.2").json()["state"] == "queued"

    def work() -> None:
        time.sleep(0.3)
        job_succeeded(store, claim_job(store, 60), RESULT)

    worker = threading.Thread(target=work)
    worker.start()
    ended = client.get(f"{job['url']}?wait_s=20").json()
    worker.join()
    assert (ended["state"], ended["result"]) == ("succeeded", RESULT)
    assert ended["file"] == f"{job['url']}/file"
    assert_problem(client.get(f"{job['url']}?wait_s=1000"), 422)


def test_a_request_may_wait_for_its_result(client, store, trained):
    def work() -> None:
        while (job := claim_job(store, 60)) is None:
            time.sleep(0.02)
        job_failed(store, job, {"title": "No", "detail": "It broke.", "remedy": "Mend it."})

    worker = threading.Thread(target=work)
    worker.start()
    answer = client.post(
        f"/api/v1/runs/{trained}/exports?wait_s=20", json={"format": "safetensors"}
    )
    worker.join()
    assert answer.status_code == 200
    assert answer.json()["error"] == {"title": "No", "detail": "It broke.", "remedy": "Mend it."}


def test_a_jobs_file_is_handed_out_once_it_has_succeeded(client, store, settings, trained):
    job = create_job(store, "predict", "local", {"file": "p.csv"}, trained)
    url = f"/api/v1/jobs/{job.id}/file"
    assert "Wait" in assert_problem(client.get(url), 409)["remedy"]
    job_succeeded(store, claim_job(store, 60), RESULT)
    assert_problem(client.get(url), 404)
    settings.job_dir(job.id).mkdir(parents=True)
    (settings.job_dir(job.id) / "p.csv").write_text("file,predicted\n")
    answer = client.get(url)
    assert answer.text == "file,predicted\n"
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="p.csv"'
    assert_problem(client.post(url), 405)
    for unknown in ("/api/v1/jobs/99", "/api/v1/jobs/99/file"):
        assert_problem(client.get(unknown), 404)
    assert_problem(client.get("/api/v1/jobs/x"), 422)


def test_a_vote_is_queued_with_its_first_run_preferred(client, store, bell):
    ids = [succeeded(store) for _ in range(2)]
    job = client.post("/api/v1/votes", json={"runs": ids})
    assert job.status_code == 202, job.text
    assert job.json()["request"] == {
        "runs": ids,
        "split": "val",
        "method": "majority",
        "prefer": ids[0],
        "file": "votes.csv",
    }
    assert job.json()["run"] is None
    assert bell.rings == ["interactive"]
    asked = client.post("/api/v1/votes", json={"runs": ids, "prefer": ids[1], "method": "mean"})
    assert asked.json()["request"]["prefer"] == ids[1]


def test_runs_evaluated_on_different_images_cannot_vote(client, store):
    first, second, other = (
        succeeded(store),
        succeeded(store),
        succeeded(store, fingerprint="b" * 64),
    )
    problem = assert_problem(
        client.post("/api/v1/votes", json={"runs": [first, second, other]}), 409
    )
    assert f"Run {other} was" in problem["detail"]
    assert f"than run {first}" in problem["detail"]
    problem = assert_problem(
        client.post("/api/v1/votes", json={"runs": [first, second], "split": "test"}), 409
    )
    assert f"Run {first} was not evaluated on a test split" in problem["detail"]


def test_bad_votes_are_refused(client, store, trained, run_id):
    for body, field in (
        ({"runs": [trained]}, "runs"),
        ({"runs": [trained, trained]}, "runs"),
        ({"runs": [trained, run_id], "prefer": 77}, "prefer"),
        ({"runs": [trained, run_id], "method": "loudest"}, "method"),
    ):
        problem = assert_problem(client.post("/api/v1/votes", json=body), 422)
        assert problem["errors"][0]["field"] == field
    assert_problem(client.post("/api/v1/votes", json={"runs": [trained, 99]}), 404)
    assert_problem(client.post("/api/v1/votes", json={"runs": [trained, run_id]}), 409)
    assert_problem(client.get("/api/v1/votes"), 405)


def test_inputs_of_jobs_that_never_ended_are_removed(client, settings, trained):
    import os

    client.post(f"/api/v1/runs/{trained}/predictions", files=pictures("a.png"))
    (folder,) = settings.job_inputs_dir().iterdir()
    remove_stale(settings)
    assert folder.exists()
    os.utime(folder, (1, 1))
    remove_stale(settings)
    assert not folder.exists()


def test_jobs_are_listed_with_their_progress_and_cancelled(client, store):
    job = create_job(store, "vote", "local", {"file": "votes.csv"})
    beat_job(store, claim_job(store, 60), 60, {"what": "counting", "done": 1, "total": 4})
    [listed] = client.get("/api/v1/jobs").json()["jobs"]
    assert listed["progress"] == {"what": "counting", "done": 1, "total": 4}
    ended = client.post(f"/api/v1/jobs/{job.id}/cancel").json()
    assert (ended["state"], ended["progress"]) == ("cancelled", None)
    assert ended["error"]["title"] == "The job was cancelled"
    assert_problem(client.post(f"/api/v1/jobs/{job.id}/cancel"), 409)
    assert_problem(client.post("/api/v1/jobs/99/cancel"), 404)
    assert client.get("/api/v1/jobs?limit=0").status_code == 422


def test_a_job_without_a_file_says_so(client, store):
    job = create_job(store, "duplicates", "local", {})
    job_succeeded(store, claim_job(store, 60), {})
    assert client.get(f"/api/v1/jobs/{job.id}").json()["file"] is None
    assert (
        "makes no file" in assert_problem(client.get(f"/api/v1/jobs/{job.id}/file"), 404)["detail"]
    )
