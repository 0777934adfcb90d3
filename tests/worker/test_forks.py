from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.house import ROOT, fake_launch, is_alive, wait_until
from worker import forks
from worker.forks import SERVER_GONE, ForkedTrainer, ServerGone, WarmLauncher, WarmServer
from worker.processes import Job, TrainerProcess


@pytest.fixture
def job(tmp_path: Path) -> Job:
    spec = tmp_path / "spec.json"
    spec.write_text('{"training": {"epochs": 1}}')
    return Job(spec, tmp_path / "manifest.json", tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmServer]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    started = WarmServer(preload="tests.worker.fork_entries")
    yield started
    if not started.gone:
        started.close()


def _fork(server: WarmServer, job: Job, function: str) -> ForkedTrainer:
    return server.fork(job, f"tests.worker.fork_entries:{function}")


def _end(trainer: TrainerProcess) -> int | None:
    wait_until(lambda: trainer.poll() is not None)
    code = trainer.poll()
    trainer.close()
    return code


def test_a_child_is_a_process_of_its_own_with_only_its_own_descriptors(
    server: WarmServer, job: Job
) -> None:
    neighbour = _fork(server, job, "work")
    child = _fork(server, job, "describe")
    wait_until((job.out / "written").exists)
    said = job.log.read_text().splitlines()
    assert f"arguments {job.spec} {job.manifest} None" in said
    assert "leader True" in said
    assert "term True" in said
    assert "others []" in said, said
    assert child.poll() is None
    child.control.close()
    assert _end(child) == 7
    assert neighbour.poll() is None
    neighbour.close()


def test_exit_codes_errors_and_signals_are_told(server: WarmServer, job: Job) -> None:
    assert _end(_fork(server, job, "raise_error")) == 1
    assert "ValueError: the last words" in job.log.read_text()
    assert _end(_fork(server, job, "leave")) == 5
    killed = _fork(server, job, "work")
    os.kill(killed.pid, signal.SIGSEGV)
    assert _end(killed) == -signal.SIGSEGV


def test_a_signal_sent_to_everybody_does_not_end_the_server(server: WarmServer, job: Job) -> None:
    assert server.wait_until_ready()
    os.kill(server.pid, signal.SIGTERM)
    os.kill(server.pid, signal.SIGINT)
    assert _end(_fork(server, job, "leave")) == 5


def test_children_of_a_killed_server_are_killed_and_nobody_waits_for_them(
    server: WarmServer, job: Job
) -> None:
    child = _fork(server, job, "work")
    os.kill(server.pid, signal.SIGKILL)
    assert _end(child) == SERVER_GONE
    wait_until(lambda: not is_alive(child.pid))
    with pytest.raises(ServerGone):
        _fork(server, job, "work")


def test_server_and_children_end_when_their_owner_is_killed(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = (
        "import sys, time; from pathlib import Path; "
        "from worker.forks import WarmServer; from worker.processes import Job; "
        "out = Path(sys.argv[1]); server = WarmServer('json'); "
        "work = 'tests.worker.fork_entries:work'; "
        "children = [server.fork(Job(out, out, out), work) for _ in range(2)]; "
        "sys.stdout.write(f'{server.pid} {children[0].pid} {children[1].pid}\\n'); "
        "sys.stdout.flush(); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 3
        assert all(is_alive(pid) for pid in pids)
        owner.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_a_server_that_is_still_importing_ends_at_once_with_its_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    server = WarmServer(preload="tests.worker.slow_import")
    time.sleep(0.5)  # the import has begun
    assert is_alive(server.pid)
    begun = time.monotonic()
    server.close()
    assert time.monotonic() - begun < 3
    assert not is_alive(server.pid)


def test_a_module_that_cannot_be_imported_ahead_does_not_stop_the_server(
    job: Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    server = WarmServer(preload="tests.worker.no_such_module")
    assert _end(_fork(server, job, "leave")) == 5
    server.close()
    assert "no_such_module" in capfd.readouterr().err


def test_the_launcher_starts_another_server_when_one_has_died(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "PRELOAD", "json")
    monkeypatch.setattr(WarmServer.__init__, "__defaults__", ("json",))
    launcher = WarmLauncher()
    first = launcher.warm_up()
    assert launcher.warm_up() is first
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: first.gone)
    second = launcher.warm_up()
    assert second.pid != first.pid
    assert second.wait_until_ready()
    launcher.close()
    assert not is_alive(second.pid)


def test_the_launcher_falls_back_to_a_cold_start(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def refuse(self: WarmLauncher) -> WarmServer:
        raise ServerGone("no memory")

    monkeypatch.setattr(WarmLauncher, "warm_up", refuse)
    trainer = WarmLauncher(fallback=fake_launch("train", 0))(job)
    assert _end(trainer) == 0
