from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.worker.house import ROOT, fake_launch, is_alive, wait_until
from worker.processes import Job, how_it_ended


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    spec = tmp_path / "spec.json"
    spec.write_text('{"training": {"epochs": 1000}}')
    return Job(spec, tmp_path / "manifest.json", tmp_path)


def test_closing_kills_the_trainer_and_what_it_started(job: Job) -> None:
    trainer = fake_launch("ignore-term")(job)
    wait_until(lambda: len(psutil.Process(trainer.pid).children()) == 1)
    (helper,) = psutil.Process(trainer.pid).children()
    trainer.ask_to_stop()
    assert trainer.poll() is None
    trainer.close()
    wait_until(lambda: trainer.poll() is not None)
    assert trainer.poll() == -signal.SIGKILL
    wait_until(lambda: not is_alive(helper.pid))


def test_a_trainer_ends_when_its_supervisors_socket_closes(job: Job) -> None:
    trainer = fake_launch("say-nothing")(job)
    wait_until((job.out / "events.jsonl").exists)
    trainer.control.close()
    wait_until(lambda: trainer.poll() is not None)
    assert trainer.poll() == -signal.SIGKILL


def test_asking_a_process_that_has_ended_is_harmless(job: Job) -> None:
    trainer = fake_launch("stop-early")(job)
    wait_until(lambda: trainer.poll() == 0)
    trainer.ask_to_stop()
    trainer.close()
    trainer.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit status 1"),
        (-signal.SIGKILL, "memory ran out"),
        (-signal.SIGSEGV, "native library"),
        (-signal.SIGTERM, "SIGTERM"),
        (-200, "signal 200"),
    ],
)
def test_an_exit_code_is_put_into_words(code: int, words: str) -> None:
    assert words in how_it_ended(code)
