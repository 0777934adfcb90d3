"""Worker processes on either installation, with the fake trainer: pick-up, death, drain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from store import datasets, jobs, runs
from store.events import events_after
from store.workers import list_workers
from tests.worker.house import ROOT, House, is_alive, wait_until
from worker.bell import Bell
from worker.broker import broker_client


@pytest.fixture
def patient_house(any_house: House) -> House:
    """No tick comes to the rescue: what happens, happens because of a message."""
    any_house.settings = any_house.settings.model_copy(update={"tick_s": 600.0})
    return any_house


def _ring(house: House, times: int = 1) -> None:
    bell = Bell(house.settings)
    for _ in range(times):
        bell.ring_train()
    bell.close()


def _wait_for_worker(house: House, count: int = 1) -> None:
    wait_until(lambda: len(list_workers(house.store, 2.0)) >= count)


def _undisturbed(house: House, epochs: int) -> dict[str, list[tuple[int, float]]]:
    run_id = house.submit(epochs=epochs)
    assert house.wait(run_id).status == "succeeded"
    return house.figures(run_id)


def test_a_ring_is_enough(patient_house: House) -> None:
    house = patient_house
    first = house.submit(epochs=1)
    house.start_fake_worker()
    house.wait(first)  # what was there before needs no ring; now the worker listens
    run_id = house.submit(epochs=1)
    _ring(house)
    assert house.wait(run_id).status == "succeeded"


def test_duplicate_rings_run_nothing_twice(patient_house: House) -> None:
    house = patient_house
    house.start_fake_worker(slots=2)
    _wait_for_worker(house)
    ids = [house.submit(epochs=1) for _ in range(3)]
    _ring(house, times=8)
    for run_id in ids:
        assert house.wait(run_id).status == "succeeded"
    with broker_client(house.settings) as client:
        wait_until(lambda: client.llen(house.settings.train_queue) == 0)
    assert [house.outcomes(run_id) for run_id in ids] == [["succeeded"]] * 3


def test_a_busy_worker_leaves_the_message_to_an_idle_one(patient_house: House) -> None:
    house = patient_house
    long = house.submit(epochs=1000)
    house.start_fake_worker(pace_s=0.2)
    house.wait_for_epoch(long, 1)
    house.start_fake_worker()
    _wait_for_worker(house, 2)
    for _ in range(2):
        run_id = house.submit(epochs=1)
        _ring(house)
        assert house.wait(run_id).status == "succeeded"


def test_a_lost_message_only_costs_a_tick(any_house: House) -> None:
    any_house.start_fake_worker()
    _wait_for_worker(any_house)
    run_id = any_house.submit(epochs=1)
    assert any_house.wait(run_id).status == "succeeded"


def test_without_a_broker_runs_are_found_by_the_tick(house: House) -> None:
    worker = house.start_fake_worker()
    _wait_for_worker(house)
    run_id = house.submit(epochs=1)
    assert house.wait(run_id).status == "succeeded"
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_broker_that_dies_and_comes_back_costs_nothing(house: House) -> None:
    broker = house.start_broker()
    house.start_fake_worker(pace_s=0.2)
    during = house.submit(epochs=4)
    house.wait_for_epoch(during, 1)
    broker.kill()
    broker.wait()
    meanwhile = house.submit(epochs=1)
    assert house.wait(during).status == "succeeded"
    assert house.wait(meanwhile).status == "succeeded"
    house.start_broker()
    afterwards = house.submit(epochs=1)
    _ring(house)
    assert house.wait(afterwards).status == "succeeded"
    with broker_client(house.settings) as client:
        wait_until(lambda: client.llen(house.settings.train_queue) == 0)  # it listens again
    for run_id in (during, meanwhile, afterwards):
        assert house.outcomes(run_id) == ["succeeded"]


def test_a_killed_worker_takes_its_trainers_along_and_another_goes_on(any_house: House) -> None:
    house = any_house
    worker = house.start_fake_worker(pace_s=0.3, slots=2)
    ids = [house.submit(epochs=5) for _ in range(2)]
    for run_id in ids:
        house.wait_for_epoch(run_id, 2)
    assert len(house.trainers()) == 2
    worker.kill()
    worker.wait()
    wait_until(lambda: not house.trainers(), house.trainers)
    house.start_fake_worker(slots=2)
    for run_id in ids:
        assert house.wait(run_id).status == "succeeded"
        assert house.outcomes(run_id) == ["lost", "succeeded"]
    expected = _undisturbed(house, 5)
    for run_id in ids:
        assert house.figures(run_id) == expected
        assert not list(house.settings.run_dir(run_id).rglob("*.tmp"))
        sequence = [row.seq for row in events_after(house.store, run_id, 0, 1000)]
        assert sequence == sorted(set(sequence))


def test_a_killed_trainer_is_started_again(house: House) -> None:
    house.start_broker()
    house.start_fake_worker(pace_s=0.2)
    run_id = house.submit(epochs=5)
    house.wait_for_epoch(run_id, 2)
    (trainer,) = house.trainers()
    os.kill(trainer, signal.SIGKILL)
    assert house.wait(run_id).status == "succeeded"
    assert house.outcomes(run_id) == ["crashed", "succeeded"]
    assert "memory ran out" in runs.attempts(house.store, run_id)[0].detail
    assert house.figures(run_id) == _undisturbed(house, 5)


def test_a_worker_told_to_end_hands_its_run_back_and_says_goodbye(any_house: House) -> None:
    house = any_house
    worker = house.start_fake_worker(pace_s=0.3)
    run_id = house.submit(epochs=5)
    house.wait_for_epoch(run_id, 2)
    (row,) = list_workers(house.store, 60)
    wait_until(lambda: list_workers(house.store, 60)[0].details["runs"] == [run_id])
    worker.terminate()
    assert worker.wait(30) == 0
    assert house.run(run_id).status == "queued"
    assert house.outcomes(run_id) == ["handed_back"]
    assert house.trainers() == []
    assert row.id not in {worker.id for worker in list_workers(house.store, 60)}
    house.start_fake_worker()
    assert house.wait(run_id).status == "succeeded"
    assert house.figures(run_id) == _undisturbed(house, 5)


@pytest.mark.parametrize("epochs", [4, 24])
def test_a_worker_frozen_past_its_lease_writes_nothing_when_it_wakes(
    any_house: House, epochs: int
) -> None:
    """Its trainer goes on alone, to the end of a short run, and checkpoints what nobody reads."""
    house = any_house
    frozen = house.start_fake_worker(pace_s=0.2)
    run_id = house.submit(epochs=epochs)
    house.wait_for_epoch(run_id, 2)
    (zombie,) = house.trainers()
    frozen.send_signal(signal.SIGSTOP)
    house.start_fake_worker(pace_s=0.2)
    wait_until(lambda: house.run(run_id).attempt == 2)
    frozen.send_signal(signal.SIGCONT)
    wait_until(lambda: not is_alive(zombie))
    assert house.wait(run_id).status == "succeeded"
    assert house.outcomes(run_id) == ["lost", "succeeded"]
    assert house.figures(run_id) == _undisturbed(house, epochs)
    assert frozen.poll() is None  # it is as good as new


def test_a_worker_whose_parent_has_gone_ends_hard(house: House) -> None:
    watched, held = os.pipe()
    house.start_broker()
    command = [sys.executable, str(ROOT / "tests/worker/fake_worker.py"), "ignore-term", "0.2", "1"]
    worker = subprocess.Popen(
        command,
        env={**house.environment(), "TUNEBOARD_PARENT_FD": str(watched)},
        cwd=ROOT,
        pass_fds=[watched],
    )
    house.processes.append(worker)
    os.close(watched)
    run_id = house.submit(epochs=1000)
    house.wait_for_epoch(run_id, 1)
    os.close(held)
    assert worker.wait(30) == 1
    wait_until(lambda: not house.trainers(), house.trainers)


def test_a_worker_tells_what_it_is_made_of(house: House) -> None:
    house.start_broker()
    house.start_fake_worker(slots=3)
    _wait_for_worker(house)
    (row,) = list_workers(house.store, 60)
    assert (row.kind, row.device, row.slots, row.draining) == ("train", "cpu", 3, False)
    assert row.id.startswith(f"{row.hostname}:{row.pid}:")
    assert row.details["cpus"] >= 1
    assert row.details["memory_bytes"] > 0
    assert {"python", "torch", "timm"} <= set(row.details["versions"])


def test_an_interactive_worker_does_jobs_when_it_is_rung_for(patient_house: House) -> None:
    house = patient_house
    first = jobs.create_job(house.store, "export", "tester", {"file": "x", "format": "x"})
    house.start("-m", "worker", "--kind", "interactive")
    wait_until(lambda: jobs.get_job(house.store, first.id).is_over)  # now it listens
    second = jobs.create_job(house.store, "export", "tester", {"file": "x", "format": "x"})
    bell = Bell(house.settings)
    bell.ring_interactive()
    wait_until(lambda: jobs.get_job(house.store, second.id).is_over)
    assert "There is no run" in (jobs.get_job(house.store, second.id).error or {})["detail"]
    bell.close()


def test_an_interactive_worker_prepares_what_is_registered(any_house: House) -> None:
    house = any_house
    house.settings = house.settings.model_copy(update={"data_roots": (house.settings.data_dir,)})
    images = house.settings.dataset_dir(1) / "images"
    worker = house.start("-m", "worker", "--kind", "interactive")
    _wait_for_worker(house)
    datasets.register_dataset(house.store, "again", "folder", str(images), "tester")
    bell = Bell(house.settings)
    bell.ring_interactive()
    bell.close()
    wait_until(lambda: datasets.get_dataset(house.store, "again").status != "preparing")
    assert datasets.get_dataset(house.store, "again").status == "ready"
    worker.terminate()
    assert worker.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "cook"], "invalid choice"),
        (["--kind", "train", "--slots", "0"], "expected 1 to 64"),
        (["--kind", "train", "--device", "cuda"], "torch cannot use a GPU"),
    ],
)
def test_bad_options_end_with_a_reason(house: House, arguments: list[str], said: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        env={**house.environment(), "CUDA_VISIBLE_DEVICES": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert said in answer.stderr


def test_a_worker_never_imports_what_its_trainers_need() -> None:
    program = (
        "import sys, worker.main; "
        "print([name for name in ('torch', 'numpy', 'sklearn', 'scipy', 'plotly') "
        "if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_every_signal_to_end_drains_however_often_it_comes(
    house: House, number: signal.Signals
) -> None:
    house.start_broker()
    worker = house.start_fake_worker("ignore-term", pace_s=0.2)
    run_id = house.submit(epochs=1000)
    house.wait_for_epoch(run_id, 1)
    for _ in range(3):
        worker.send_signal(number)
        time.sleep(0.2)
    assert worker.wait(30) == 0
    assert house.outcomes(run_id) == ["handed_back"]
