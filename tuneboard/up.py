"""`tuneboard up`: broker, web and workers of one machine, from start to the last process's end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import RedisError

from store.settings import Settings
from trainer.errors import TuneboardError
from tuneboard.children import Program, Supervisor
from tuneboard.listening import listen
from tuneboard.place import occupied, publish_address, web_address, withdraw_address

WEB_READY_WITHIN_S = 60.0  # 2 s here; a cold disk takes its time


@contextmanager
def serving(
    settings: Settings,
    *,
    slots: int = 1,
    workers: bool = True,
    listener: socket.socket | None = None,
    say: Callable[[str], None],
) -> Iterator[str]:
    """Run everything while the block runs; yields the address once it answers.

    Args:
        settings: Where and on which port.
        slots: Runs that each training worker takes at a time.
        workers: Whether to run workers too, or the web and the broker alone.
        listener: What listens on the settings' port already; closed at the end.
        say: Told what a person at the console should know.

    Raises:
        InvalidInput: If the address, the port or the data directory cannot be used.
        Conflict: If Tuneboard already runs with this data directory.
        TuneboardError: If the web process does not come up.
    """
    from app.security import check_bind

    check_bind(settings)
    with occupied(settings, say) as lock_fd, listener or listen(settings) as listener:
        logs_dir = settings.data_dir / "logs"
        logs_dir.mkdir(exist_ok=True)
        programs = _programs(settings, listener.fileno(), slots=slots, workers=workers)
        supervisor = Supervisor(programs, logs_dir=logs_dir, inherited_fd=lock_fd, say=say)
        try:
            supervisor.start()
            _wait_until_answering(settings, supervisor)
            publish_address(settings)
            yield web_address(settings)
        finally:
            with _deaf_to_signals():
                withdraw_address(settings)
                supervisor.stop()


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, and leave the block quietly on any of them.

    Meant for a command's whole body, in the main thread.
    """
    _asked.clear()

    def interrupt(*_: object) -> None:
        if not _asked:  # a second one would break into the unwinding of the first
            _asked.append(True)
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _STOPPING}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_ever() -> None:
    """Sleep until a signal raises something, or was asked to leave where that was lost."""
    while not _asked:
        time.sleep(_LOOK_S)
    raise KeyboardInterrupt


def is_answering(settings: Settings) -> bool:
    """Return whether the web server of these settings says that it is ready.

    Another installation's, which took the port in the same moment, does not count.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{web_address(settings)}/healthz", timeout=2) as answer:
            health = json.load(answer)
            return bool(health.get("installation") == settings.queue_prefix)
    except (OSError, ValueError, AttributeError):
        return False


_LOOK_S = 0.5
_asked: list[bool] = []
"""Not empty once a signal has come; a list, since a handler may take no lock."""
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """Keep an impatient second Ctrl-C from cutting short the stopping, which is bounded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _programs(settings: Settings, listener_fd: int, *, slots: int, workers: bool) -> list[Program]:
    """Return what to run, in the order of starting.

    Stopping takes at most the stages' seconds added up: 2.8 + 5 + 1.5, within the ten promised.
    """
    environment = {
        "TUNEBOARD_DATA_DIR": str(settings.data_dir),
        "TUNEBOARD_HOST": settings.host,
        "TUNEBOARD_PORT": str(settings.port),
        # Threads of the trainer that wait for each other should sleep, not spin: on two cores
        # that others use too, a step of EfficientNet-Lite0 took 0.35 s instead of 3.3 s.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }
    programs = []
    if not settings.broker_url:
        programs.append(_broker(settings))
    programs.append(
        Program(
            "web",
            (sys.executable, "-m", "app.serve", "--fd", str(listener_fd)),
            stage=0,
            stop_s=2.8,
            environment=environment,
            fds=(listener_fd,),
        )
    )
    if not workers:
        return programs
    worker = (sys.executable, "-m", "worker", "--kind")
    for name, device, more in _training_places():
        command = (*worker, "train", "--slots", str(slots), "--device", device)
        programs.append(
            Program(name, command, stage=1, stop_s=5.0, environment={**environment, **more})
        )
    interactive = (*worker, "interactive")
    programs.append(
        Program("interactive", interactive, stage=1, stop_s=5.0, environment=environment)
    )
    return programs


def _broker(settings: Settings) -> Program:
    from worker.broker import broker_client, embedded_broker_command

    def answers() -> bool:
        with broker_client(settings) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    return Program(
        "broker",
        tuple(embedded_broker_command(settings)),
        stage=2,
        stop_s=1.5,
        linger_s=3.0,  # workers that hand back after a kill -9 should still find it
        ready=answers,
    )


def _training_places() -> list[tuple[str, str, dict[str, str]]]:
    """Return name, device and environment of each training worker: one a GPU, or one CPU."""
    gpus = _gpus()
    if not gpus:
        return [("train", "cpu", {})]
    # auto: a GPU whose driver does not suit this PyTorch still leaves a worker that works
    return [(f"train-gpu{gpu}", "auto", {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus]


def _gpus() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES calls each usable GPU, asking no CUDA library."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listing = subprocess.run(
            [tool, "-L"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    count = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and count:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    return [str(index) for index in range(count)]


def _wait_until_answering(settings: Settings, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + WEB_READY_WITHIN_S
    while not is_answering(settings):
        if supervisor.deaths("web"):
            raise TuneboardError(
                f"The web process ended before it answered:\n{supervisor.log_tail('web')}"
            )
        if time.monotonic() > deadline:
            raise TuneboardError(
                f"The web process did not answer within {WEB_READY_WITHIN_S:.0f} s:\n"
                f"{supervisor.log_tail('web')}"
            )
        time.sleep(0.05)
