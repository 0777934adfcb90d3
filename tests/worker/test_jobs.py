"""Jobs after training as the interactive worker does them, with programs of the tests' own."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from store import jobs, lifecycle
from store.datasets import get_dataset
from store.rows import JobRow
from tests.trainer.runs import spec_with, train
from tests.worker.house import ROOT, House, fake_launch, processes_of, wait_until
from worker.bell import Bell
from worker.interactive import Interactive
from worker.jobs import JobRunner, job_command
from worker.runner import Runner
from worker.tail import EventTail


@pytest.fixture(autouse=True)
def _our_own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def runner(house: House, program: Path) -> JobRunner:
    return JobRunner(
        house.store,
        house.settings,
        threading.Event(),
        lambda _store, _settings, job: [sys.executable, str(program), str(job.id)],
    )


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "program.py"
    path.write_text(text)
    return path


def queued(house: House, kind: str = "vote", **payload: Any) -> JobRow:
    return jobs.create_job(house.store, kind, "tester", {"file": "x.csv", **payload})


def test_what_a_program_says_is_the_result(house: House, tmp_path: Path) -> None:
    program = written(tmp_path, 'import sys; print(\'{"ready": {"job": %s}}\' % sys.argv[1])')
    first, second = queued(house), queued(house)
    runner(house, program).work()
    for job in (first, second):
        found = jobs.get_job(house.store, job.id)
        assert (found.state, found.result) == ("succeeded", {"job": job.id})
        assert house.settings.job_dir(job.id).is_dir()


def test_a_failure_is_told_in_the_programs_words(house: House, tmp_path: Path) -> None:
    error = '{"title": "T", "detail": "D", "remedy": "R", "errors": []}'
    program = written(tmp_path, f"print('{{\"failed\": {error}}}'); raise SystemExit(1)")
    job = queued(house)
    runner(house, program).work()
    found = jobs.get_job(house.store, job.id)
    assert found.state == "failed"
    assert found.error == {"title": "T", "detail": "D", "remedy": "R", "errors": []}


def test_a_program_that_dies_fails_its_job_alone(house: House, tmp_path: Path) -> None:
    text = "import os, signal, sys\nif sys.argv[1] == '1': os.kill(os.getpid(), signal.SIGSEGV)\n"
    program = written(tmp_path, text + "print('{\"ready\": {}}')")
    deadly, after = queued(house), queued(house)
    runner(house, program).work()
    found = jobs.get_job(house.store, deadly.id)
    assert found.state == "failed"
    assert "SIGSEGV" in (found.error or {})["detail"]
    assert jobs.get_job(house.store, after.id).state == "succeeded"


def test_what_was_sent_is_removed_at_the_end(house: House, tmp_path: Path) -> None:
    folder = house.settings.job_inputs_dir("abc")
    folder.mkdir(parents=True)
    (folder / "00000").write_bytes(b"x")
    queued(house, "predict", inputs="abc")
    runner(house, written(tmp_path, "print('{\"ready\": {}}')")).work()
    assert not folder.exists()


def test_a_drain_hands_the_job_back_at_once(house: House, tmp_path: Path) -> None:
    program = written(tmp_path, "import time; time.sleep(600)")
    job = queued(house)
    bell = Bell(house.settings)
    hand = Interactive(
        house.store,
        house.settings,
        bell,
        lambda *_: [sys.executable, str(program)],
    )
    hand.wake()
    wait_until(lambda: processes_of(str(program)) != [])
    hand.drain()
    assert hand.wait_until_idle(10)
    found = jobs.get_job(house.store, job.id)
    assert (found.state, found.tries) == ("queued", 0)
    assert processes_of(str(program)) == []
    assert not hand.has_free_slot
    bell.close(0.1)


def test_a_job_does_not_wait_for_a_preparation(house: House, tmp_path: Path) -> None:
    bell = Bell(house.settings)
    program = written(tmp_path, "print('{\"ready\": {}}')")
    hand = Interactive(house.store, house.settings, bell, lambda *_: [sys.executable, str(program)])
    blocked = threading.Event()
    hand._prepares._work = lambda: bool(blocked.wait(30)) and None  # type: ignore[func-returns-value]
    hand.wake()
    wait_until(lambda: hand._prepares._busy)
    wait_until(lambda: not hand._does_jobs["quick"].is_busy)
    job = queued(house)
    assert hand.has_work()
    hand.wake()
    wait_until(lambda: jobs.get_job(house.store, job.id).state == "succeeded")
    blocked.set()
    hand.drain()
    assert hand.wait_until_idle(10)
    bell.close(0.1)


def test_how_far_a_program_is_is_stored_and_a_cancel_ends_it(house: House, tmp_path: Path) -> None:
    told = '{"what": "counting", "done": 1, "total": 2}'
    program = written(tmp_path, f"import time; print('{told}', flush=True); time.sleep(600)")
    folder = house.settings.job_inputs_dir("abc")
    folder.mkdir(parents=True)
    job = queued(house, inputs="abc")
    thread = threading.Thread(target=runner(house, program).work)
    thread.start()
    wait_until(lambda: jobs.get_job(house.store, job.id).progress == json.loads(told))
    jobs.cancel_job(house.store, job.id)
    thread.join(20)
    assert not thread.is_alive()
    assert processes_of(str(program)) == []
    assert jobs.get_job(house.store, job.id).state == "cancelled"
    assert not folder.exists()
    assert not house.settings.job_dir(job.id).exists()


def test_a_long_job_does_not_hold_up_a_quick_one(house: House, tmp_path: Path) -> None:
    waits = "import sys, time\nif sys.argv[1] == 'duplicates': time.sleep(600)\n"
    program = written(tmp_path, waits + "print('{\"ready\": {}}')")
    bell = Bell(house.settings)
    hand = Interactive(
        house.store,
        house.settings,
        bell,
        lambda _store, _settings, job: [sys.executable, str(program), job.kind],
    )
    long = queued(house, "duplicates")
    hand.wake()
    wait_until(lambda: jobs.get_job(house.store, long.id).state == "running")
    wait_until(lambda: not hand._does_jobs["quick"].is_busy)
    quick = queued(house)
    assert hand.has_work()
    hand.wake()
    wait_until(lambda: jobs.get_job(house.store, quick.id).state == "succeeded")
    assert jobs.get_job(house.store, long.id).state == "running"
    hand.drain()
    assert hand.wait_until_idle(10)
    bell.close(0.1)


def test_what_is_gone_fails_the_job_with_the_reason(house: House) -> None:
    job = jobs.create_job(house.store, "predict", "tester", {"file": "x.csv", "folder": "/x"}, None)
    JobRunner(house.store, house.settings, threading.Event()).work()
    found = jobs.get_job(house.store, job.id)
    assert "There is no run" in (found.error or {})["detail"]


def test_the_real_programs_do_real_jobs(house: House, tmp_path: Path) -> None:
    """A run trained by the trainer: classify, export, vote."""
    run_ids = [house.submit(epochs=1) for _ in range(2)]
    for run_id in run_ids:
        claim = house.claim()
        assert claim.run.id == run_id
        out = house.settings.attempt_dir(run_id, claim.attempt)
        manifest = house.settings.dataset_dir(1) / "manifest.json"
        assert train(manifest, out, claim.run.spec) == 0
        tail = EventTail(out / "events.jsonl")
        said = [event for event, _ in tail.read()]
        tail.close()
        lifecycle.record(house.store, run_id, claim.attempt, lease_s=60, events=said)
        lifecycle.finish(house.store, run_id, claim.attempt, "succeeded")
    folder = tmp_path / "new"
    folder.mkdir()
    Image.new("RGB", (16, 16), "white").save(folder / "new.png")
    house.settings = house.settings.model_copy(update={"data_roots": (tmp_path,)})
    asked = [
        jobs.create_job(
            house.store, "predict", "t", {"file": "p.csv", "folder": str(folder)}, run_ids[0]
        ),
        jobs.create_job(
            house.store, "export", "t", {"file": "m.safetensors", "format": "safetensors"},
            run_ids[0],
        ),
        queued(house, runs=run_ids, split="val", method="majority", prefer=run_ids[1]),
    ]  # fmt: skip
    JobRunner(house.store, house.settings, threading.Event(), job_command).work()
    done = [jobs.get_job(house.store, job.id) for job in asked]
    assert [job.error for job in done] == [None] * 3
    predicted, exported, voted = (job.result or {} for job in done)
    assert predicted["predictions"][0]["file"] == "new.png"
    assert predicted["classes"] == ["dark", "light"]
    assert exported["largest_difference_from_recorded"] == 0
    # The same spec, data and seed: both runs say the same, and so does their vote.
    assert voted["accuracy"] == voted["members"][0]["accuracy"]
    assert voted["preferred"] == str(run_ids[1])
    for job in done:
        assert (house.settings.job_dir(job.id) / job.payload["file"]).stat().st_size > 0


def test_a_dataset_is_looked_through_by_the_real_program(house: House) -> None:
    house.add_dataset("old")
    row = get_dataset(house.store, "old")
    file = house.settings.dataset_dir(row.id) / "manifest.json"
    older = json.loads(file.read_text())
    del older["duplicates"]
    file.write_text(json.dumps(older))
    job = jobs.create_job(
        house.store, "duplicates", "tester", {"dataset": "old"}, dataset_id=row.id
    )
    JobRunner(house.store, house.settings, threading.Event()).work()
    done = jobs.get_job(house.store, job.id)
    assert done.error is None
    found = get_dataset(house.store, "old").summary["duplicates"]
    assert done.result == {"duplicates": found}
    assert json.loads(file.read_text())["duplicates"] is not None


def test_a_spec_is_tried_in_a_training_slot_by_the_real_program(house: House) -> None:
    row = get_dataset(house.store, "shapes")
    spec = spec_with(dataset__name="shapes", training__epochs=2)
    asked = {"spec": spec, "dataset": "shapes", "file": "samples.png"}
    job = jobs.create_job(house.store, "preflight", "tester", asked, dataset_id=row.id)
    bell = Bell(house.settings)
    hand = Runner(
        house.store,
        house.settings,
        bell,
        fake_launch(),
        worker_id="w",
        device="cpu",
        slots=1,
    )
    assert hand.has_work()
    hand.wake()
    done = jobs.get_job(house.store, job.id)
    assert done.error is None
    found = done.result or {}
    assert found["steps"] == 2
    assert found["seconds_total"] > 0
    assert found["peak_memory_bytes"] > 0
    assert "Few validation images" in [one["title"] for one in found["warnings"]]
    with Image.open(house.settings.job_dir(job.id) / "samples.png") as sheet:
        assert sheet.width == 4 * 160
    assert not hand.has_work()
    bell.close(0.1)
