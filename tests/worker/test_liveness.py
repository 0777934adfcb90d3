from __future__ import annotations

import threading
from pathlib import Path

import pytest

from store.workers import list_workers, request_drain
from tests.worker.house import House, wait_until
from trainer.errors import TuneboardError
from worker import liveness as liveness_module
from worker import main as main_module
from worker.liveness import Liveness, describe_worker, visible_gpus
from worker.main import choose_device


def _smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put a program in nvidia-smi's place."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_worker_is_seen_while_it_lives_and_gone_after_its_goodbye(house: House) -> None:
    row = describe_worker("train", "cpu", 2)
    draining = threading.Event()
    alive = Liveness(house.store, row, 0.05, lambda: [7], draining)
    alive.start()
    wait_until(lambda: len(list_workers(house.store, 60)) == 1)
    (seen,) = list_workers(house.store, 60)
    assert (seen.id, seen.slots, seen.draining) == (row.id, 2, False)
    assert seen.details["runs"] == [7]
    draining.set()
    wait_until(lambda: list_workers(house.store, 60)[0].draining)
    alive.stop()
    assert list_workers(house.store, 60) == []


def test_gpus_are_those_that_the_driver_names_and_the_environment_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _smi(tmp_path, monkeypatch, "echo One; echo Two")
    assert visible_gpus() == ["One", "Two"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_a_driver_that_does_not_answer_means_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _smi(tmp_path, monkeypatch, "exit 9")
    assert visible_gpus() == []
    monkeypatch.setattr(liveness_module.shutil, "which", lambda _name: None)
    assert visible_gpus() == []


def test_the_device_is_the_gpu_only_where_torch_can_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(main_module, "visible_gpus", lambda: ["One"])
    monkeypatch.setattr(main_module, "_torch_sees_gpu", lambda: True)
    assert choose_device("auto") == "cuda"
    monkeypatch.setattr(main_module, "_torch_sees_gpu", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(TuneboardError, match="torch cannot use a GPU"):
        choose_device("cuda")


def test_a_worker_of_the_cpu_hides_the_gpus_from_its_trainers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert choose_device("cpu") == "cpu"
    assert main_module.os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_a_worker_hears_at_its_beat_that_it_is_to_drain_and_to_go_on(house: House) -> None:
    row = describe_worker("train", "cpu", 1)
    told: list[bool] = []
    alive = Liveness(house.store, row, 0.05, list, threading.Event(), told.append)
    alive.start()
    wait_until(lambda: len(list_workers(house.store, 60)) == 1)
    request_drain(house.store, row.id)
    wait_until(lambda: list_workers(house.store, 60)[0].draining)
    request_drain(house.store, row.id, drain=False)
    wait_until(lambda: not list_workers(house.store, 60)[0].draining)
    alive.stop()
    assert told == [True, False]
