"""`tuneboard up`: starts, refuses, restarts, stops, and leaves nothing behind however it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from store.settings import Settings
from tests.pictures import write_pictures
from tests.tuneboard.processes import free_port, processes_of, until
from tests.tuneboard.upped import Upped
from trainer.errors import InvalidInput
from tuneboard.client import Client
from tuneboard.listening import listen_from, port_of
from tuneboard.place import load_settings
from tuneboard.up import is_answering, serving

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("whole")]

SPEC = {
    "dataset": {"name": "colours", "input_size_px": 24},
    "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
    "augmentation": {"preset": "standard"},
    "training": {"epochs": 30, "batch_size": 4, "seed": 5},
}


@pytest.fixture
def upped(tmp_path: Path) -> Iterator[Upped]:
    write_pictures(tmp_path / "images")
    made = Upped(tmp_path / "data", environment={"TUNEBOARD_DATA_ROOTS": str(tmp_path / "images")})
    yield made
    made.end()


def up(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tuneboard", "up", *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_answers_refuses_a_second_and_a_taken_port_restarts_and_stops(upped: Upped) -> None:
    upped.start()
    assert upped.healthy()
    assert (upped.data_dir / "address").read_text().strip() == upped.url
    logs = {path.name for path in (upped.data_dir / "logs").iterdir()}
    assert {"broker.log", "web.log", "train.log", "interactive.log"} <= logs

    second = up("--data-dir", str(upped.data_dir), "--port", str(free_port()))
    assert second.returncode == 2
    assert f"already running at {upped.url}" in second.stderr
    other = up("--data-dir", str(upped.data_dir) + "-other", "--port", str(upped.port))
    assert other.returncode == 2
    assert f"got {upped.port}" in other.stderr
    assert "--port" in other.stderr
    assert "Traceback" not in second.stderr + other.stderr

    for part, name in (("app.serve", "web"), ("valkey", "broker"), ("--kind train", "train")):
        victims = [p for p in processes_of(upped.data_dir) if _is(p, part)]
        assert len(victims) == 1, upped.running()
        victims[0].kill()
        until(lambda name=name: f"{name} ended with" in upped.console, 10, f"{name} was missed")
        until(lambda part=part: _alive(upped, part), 20, f"{name} was started again")
    until(upped.healthy, 20, "the web answers again")

    begun = time.monotonic()
    assert upped.interrupt(signal.SIGINT) == 0
    assert time.monotonic() - begun < 10
    assert upped.running() == []
    assert not (upped.data_dir / "address").exists()


def _is(process: psutil.Process, part: str) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    return part in line and "tuneboard.guard" not in line


def _alive(upped: Upped, part: str) -> bool:
    return any(_is(process, part) for process in processes_of(upped.data_dir))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_service_manager_or_a_closed_terminal_stops_it_as_well(
    upped: Upped, number: signal.Signals
) -> None:
    upped.start("--no-worker")
    assert upped.interrupt(number) == 0
    assert upped.running() == []


def test_a_run_goes_on_after_kill_9_and_after_ctrl_c_with_the_numbers_of_an_undisturbed_one(
    upped: Upped, tmp_path: Path
) -> None:
    upped.start()
    with Client(upped.url) as client:
        client.add_dataset("colours", "folder", str(tmp_path / "images"))
        undisturbed = client.submit(SPEC, name="undisturbed")["id"]
        (run,) = client.wait(undisturbed, timeout_s=120)
        assert run["status"] == "succeeded", run["error"]
        expected = _points(client, undisturbed)

        killed = client.submit(SPEC, name="killed")["id"]
        until(lambda: client.run(killed)["epoch"] >= 3, 60, "the run was under way")
        upped.kill()
        until(lambda: upped.running() == [], 10, "no process outlived up")
        assert client_is_refused(upped)

        upped.start()
        (run,) = client.wait(killed, timeout_s=120)
        assert (run["status"], run["attempt"]) == ("succeeded", 2)
        assert _points(client, killed) == expected

        interrupted = client.submit(SPEC, name="interrupted")["id"]
        until(lambda: client.run(interrupted)["epoch"] >= 3, 60, "the run was under way")
        assert upped.interrupt() == 0
        assert upped.running() == []

        upped.start()
        (run,) = client.wait(interrupted, timeout_s=120)
        assert (run["status"], run["attempt"]) == ("succeeded", 2)
        assert _points(client, interrupted) == expected
    upped.interrupt()
    left = [
        path for path in (upped.data_dir / "runs").rglob("*") if path.suffix in {".tmp", ".new"}
    ]
    assert left == []


def client_is_refused(upped: Upped) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", upped.port)) != 0


def _points(client: Client, run_id: int) -> dict[str, Any]:
    series = client.series(run_id)["series"]
    assert {"train_loss", "val_accuracy", "batch_loss"} <= set(series)
    return {name: (found["step"], found["value"]) for name, found in series.items()}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"host": "0.0.0.0"}, "TUNEBOARD_HOST"),  # noqa: S104 — refused is what we want to see
        ({"host": "192.0.2.1", "access_tokens": ("me:long-enough",)}, "TUNEBOARD_HOST"),
        ({"data_dir": Path("/proc/nowhere")}, "TUNEBOARD_DATA_DIR"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_starts(
    tmp_path: Path, given: dict[str, Any], field: str
) -> None:
    settings = Settings(**{"data_dir": tmp_path / "data", "port": 18765, **given})
    with pytest.raises(InvalidInput) as caught, serving(settings, say=lambda _: None):
        pass
    assert [error.field for error in caught.value.errors] == [field]


def test_a_free_port_skips_those_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with listen_from("127.0.0.1", port) as found:
            assert port_of(found) > port


def test_the_port_is_nobody_elses_while_the_web_process_starts_again(upped: Upped) -> None:
    upped.start("--no-worker")
    [web] = [p for p in processes_of(upped.data_dir) if _is(p, "app.serve")]
    web.kill()
    web.wait(5)
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", upped.port))
    with urllib.request.urlopen(f"{upped.url}/healthz", timeout=20) as answer:  # noqa: S310
        assert answer.status == 200  # asked while nobody was there to answer


def test_one_worker_is_started_for_every_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tuneboard.up import _programs

    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: One (UUID: a)'\necho 'GPU 1: Two (UUID: b)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def gpus() -> list[tuple[str, str | None]]:
        programs = _programs(Settings(data_dir=tmp_path), 9, slots=1, workers=True)
        return [
            (program.name, program.environment.get("CUDA_VISIBLE_DEVICES"))
            for program in programs
            if program.name.startswith("train")
        ]

    assert gpus() == [("train-gpu0", "0"), ("train-gpu1", "1")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus() == [("train-gpu1", "1")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == [("train", None)]


def test_another_installations_server_on_the_same_port_is_not_ours(
    upped: Upped, tmp_path: Path
) -> None:
    upped.start("--no-worker")
    theirs = load_settings(data_dir=upped.data_dir, port=upped.port)
    ours = load_settings(data_dir=tmp_path / "ours", port=upped.port)
    assert is_answering(theirs)
    assert not is_answering(ours)


def test_two_signals_at_once_stop_it_as_one_does(upped: Upped) -> None:
    upped.start("--no-worker")
    assert upped.process is not None
    upped.process.send_signal(signal.SIGINT)
    assert upped.interrupt(signal.SIGTERM) == 0
    assert "Traceback" not in upped.console
    assert upped.running() == []
