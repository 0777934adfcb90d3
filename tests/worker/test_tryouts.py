"""The hand that answers clicks: a model server that is asked, hangs, dies, and is replaced."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from store import jobs
from store.rows import JobRow
from tests.worker.house import House, is_alive, processes_of, wait_until
from worker.model_server import ModelServer
from worker.tryouts import Tryouts, tryout_request

# Answers with what it was asked; an image may tell it to die, to hang, or to wait.
SERVER = """
import json, os, sys, time
print(json.dumps({"warm": 0.1}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    module = request.get("module", "")
    if module == "die":
        os.kill(os.getpid(), 11)
    if module == "hang":
        time.sleep(600)
    if module == "fail":
        failed = {"title": "T", "detail": "D", "remedy": "R", "errors": []}
        print(json.dumps({"id": request["id"], "failed": failed}), flush=True)
        continue
    print("noise", flush=True)
    print(json.dumps({"id": request["id"], "ready": {"pid": os.getpid(), **request}}), flush=True)
"""


def server_of(tmp_path: Path, limit_s: float = 60.0) -> ModelServer:
    program = tmp_path / "server.py"
    program.write_text(SERVER)
    return ModelServer(1, command=(sys.executable, str(program)), request_limit_s=limit_s)


@pytest.fixture
def server(tmp_path: Path):
    made = server_of(tmp_path)
    yield made
    made.close()
    assert processes_of(str(tmp_path / "server.py")) == []


@pytest.fixture
def hand(house: House, server: ModelServer) -> Tryouts:
    return Tryouts(house.store, house.settings, threading.Event(), server)


def queued(house: House, run_id: int, kind: str = "modules", **payload: Any) -> JobRow:
    return jobs.create_job(house.store, kind, "tester", payload, run_id)


def state_of(house: House, job: JobRow) -> JobRow:
    return jobs.get_job(house.store, job.id)


def test_one_server_answers_one_job_after_another(house: House, hand: Tryouts) -> None:
    run_id = house.submit()
    first, second = queued(house, run_id), queued(house, run_id)
    hand.work()
    found = [state_of(house, job) for job in (first, second)]
    assert [job.state for job in found] == ["succeeded", "succeeded"]
    assert len({(job.result or {})["pid"] for job in found}) == 1
    assert not hand.has_work()


def test_a_failure_and_a_crash_cost_their_own_job_alone(house: House, hand: Tryouts) -> None:
    run_id = house.submit()
    asked = [queued(house, run_id, "features", module=name) for name in ("fail", "die", "x")]
    hand.work()
    failed, died, well = (state_of(house, job) for job in asked)
    assert (failed.error or {})["detail"] == "D"
    assert died.state == "failed"
    assert "SIGSEGV" in (died.error or {})["detail"]
    assert "Try again" in (died.error or {})["remedy"]
    assert well.state == "succeeded"


def test_a_request_that_hangs_is_ended_after_the_limit(house: House, tmp_path: Path) -> None:
    server = server_of(tmp_path, limit_s=0.5)
    run_id = house.submit()
    hung = queued(house, run_id, "features", module="hang")
    hand = Tryouts(house.store, house.settings, threading.Event(), server)
    hand.work()
    assert "no answer within" in (state_of(house, hung).error or {})["detail"]
    assert processes_of(str(tmp_path / "server.py")) == []
    after = queued(house, run_id)
    hand.work()
    assert state_of(house, after).state == "succeeded"
    server.close()


def test_a_cancelled_job_ends_its_request(house: House, hand: Tryouts, tmp_path: Path) -> None:
    run_id = house.submit()
    hung = queued(house, run_id, "features", module="hang")
    thread = threading.Thread(target=hand.work)
    thread.start()
    wait_until(lambda: state_of(house, hung).state == "running")
    jobs.cancel_job(house.store, hung.id)
    thread.join(30)
    assert not thread.is_alive()
    assert state_of(house, hung).state == "cancelled"


def test_a_worker_that_ends_hands_the_job_back(
    house: House, server: ModelServer, tmp_path: Path
) -> None:
    draining = threading.Event()
    hand = Tryouts(house.store, house.settings, draining, server)
    hung = queued(house, house.submit(), "features", module="hang")
    thread = threading.Thread(target=hand.work)
    thread.start()
    wait_until(lambda: state_of(house, hung).state == "running")
    draining.set()
    thread.join(30)
    assert not thread.is_alive()
    found = state_of(house, hung)
    assert (found.state, found.tries) == ("queued", 0)


def test_a_server_that_died_between_two_jobs_is_replaced(
    house: House, hand: Tryouts, server: ModelServer
) -> None:
    run_id = house.submit()
    first = queued(house, run_id)
    hand.work()
    pid = (state_of(house, first).result or {})["pid"]
    server.kill()
    wait_until(lambda: not server.is_running)
    second = queued(house, run_id)
    hand.work()
    found = state_of(house, second)
    assert found.state == "succeeded"
    assert (found.result or {})["pid"] != pid


def test_it_starts_ahead_when_idle_and_forgets_models_that_nobody_uses(
    house: House, server: ModelServer
) -> None:
    settings = house.settings.model_copy(update={"model_warm_s": 0.01, "model_idle_s": 0.2})
    hand = Tryouts(house.store, settings, threading.Event(), server)
    time.sleep(0.02)
    hand.mind()
    assert server.is_running
    assert server.used_at is None
    job = queued(house, house.submit())
    hand.work()
    pid = (state_of(house, job).result or {})["pid"]
    assert server.used_at is not None

    def is_replaced() -> bool:
        hand.mind()
        return not is_alive(pid) and server.is_running and server.used_at is None

    wait_until(is_replaced)


def test_warming_ahead_can_be_switched_off(house: House, server: ModelServer) -> None:
    settings = house.settings.model_copy(update={"model_warm_s": 0.0})
    Tryouts(house.store, settings, threading.Event(), server).mind()
    assert not server.is_running


def test_an_uploaded_image_is_kept_with_its_job(house: House) -> None:
    run_id = house.submit()
    inputs = house.settings.job_inputs_dir("abc")
    inputs.mkdir(parents=True)
    (inputs / "00000").write_bytes(b"bytes")
    (inputs / "listing.json").write_text("[]")
    job = queued(house, run_id, "gradcam", inputs="abc", image={"name": "a.png"}, **{"class": "x"})
    for _ in range(2):  # a second try finds it too
        request = tryout_request(house.store, house.settings, job)
        file = Path(request["image"]["file"])
        assert file.read_bytes() == b"bytes"
    assert file.is_relative_to(house.settings.job_dir(job.id))
    assert (request["do"], request["class"], request["image"]["name"]) == ("gradcam", "x", "a.png")
    assert not inputs.exists()
    again = queued(house, run_id, "classify", image={"name": "a.png", "job": job.id})
    assert tryout_request(house.store, house.settings, again)["image"]["file"] == str(file)


def test_what_is_gone_fails_the_job_with_the_reason(house: House, hand: Tryouts) -> None:
    job = queued(house, house.submit(), "classify", image={"name": "a.png", "job": 77})
    hand.work()
    assert "no longer here" in (state_of(house, job).error or {})["detail"]
