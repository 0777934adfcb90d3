"""The real trainer under the real worker: whatever is killed, the numbers stay the same."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from store.workers import list_workers
from tests.worker.house import House, is_alive, wait_until

EPOCHS = 30


@pytest.fixture
def real_house(tmp_path: Path) -> Iterator[House]:
    house = House.build(tmp_path / "data", cancel_grace_s=10.0)
    house.add_dataset()
    house.start_broker()
    yield house
    house.close()


def _start_worker(house: House) -> subprocess.Popen[bytes]:
    return house.start("-m", "worker", "--kind", "train", "--device", "cpu", "--slots", "2")


def _midway(house: House, *run_ids: int) -> None:
    for run_id in run_ids:
        house.wait_for_epoch(run_id, 3)
        assert house.run(run_id).status == "running"


@pytest.mark.slow
def test_runs_survive_whatever_is_killed_with_equal_numbers(real_house: House) -> None:
    house = real_house
    worker = _start_worker(house)
    wait_until(lambda: len(list_workers(house.store, 60)) == 1)
    first, second = house.submit(epochs=EPOCHS), house.submit(epochs=EPOCHS)
    _midway(house, first, second)

    family = [child.pid for child in psutil.Process(worker.pid).children(recursive=True)]
    assert len(family) >= 3  # the warm server and two trainers
    worker.kill()
    worker.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in family))
    assert house.trainers() == []

    worker = _start_worker(house)
    for run_id in (first, second):
        assert house.wait(run_id).status == "succeeded"
        assert house.outcomes(run_id) == ["lost", "succeeded"]

    third, undisturbed = house.submit(epochs=EPOCHS), house.submit(epochs=EPOCHS)
    _midway(house, third)
    folder = str(house.settings.attempt_dir(third, 1))
    (trainer,) = (
        pid
        for pid in house.trainers()
        if any(file.path.startswith(folder) for file in psutil.Process(pid).open_files())
    )
    os.kill(trainer, signal.SIGKILL)
    assert house.wait(third).status == "succeeded"
    assert house.outcomes(third) == ["crashed", "succeeded"]
    assert house.wait(undisturbed).status == "succeeded"
    assert house.outcomes(undisturbed) == ["succeeded"]

    fourth = house.submit(epochs=EPOCHS)
    _midway(house, fourth)
    worker.terminate()
    assert worker.wait(30) == 0
    assert house.outcomes(fourth) == ["handed_back"]
    assert house.trainers() == []
    _start_worker(house)
    assert house.wait(fourth).status == "succeeded"

    expected = house.figures(undisturbed)
    assert len(expected["val_accuracy"]) == EPOCHS
    for run_id in (first, second, third, fourth):
        assert house.figures(run_id) == expected
        assert not list(house.settings.run_dir(run_id).rglob("*.tmp"))
        (folder_left,) = house.settings.run_dir(run_id).iterdir()
        assert (folder_left / "checkpoints" / "best.safetensors").is_file()
