"""Start trainers from the warm server process, within milliseconds instead of seconds.

Falls back to the cold path when the server cannot be had; a server that has died is started anew
for the next trainer.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from typing import Any

from worker.processes import Job, Launch, TrainerProcess, launch_cold

log = logging.getLogger(__name__)

PRELOAD = "trainer.preload"
ENTRY = "trainer.run:main"
READY_TIMEOUT_S = 120.0
"""A cold disk can take a minute to deliver torch."""
START_TIMEOUT_S = 30.0
SERVER_GONE = 255
"""Exit code of a child whose server died before it could tell the real one."""


class ServerGone(Exception):
    """The warm server has died or does not answer."""


class ForkedTrainer(TrainerProcess):
    """A trainer forked from the warm server, which tells its exit code."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        super().__init__(pid, control)
        self.code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        return self.code


class WarmServer:
    """One server process and the children it has forked."""

    def __init__(self, preload: str = PRELOAD) -> None:
        self._changed = threading.Condition()
        self._asking = threading.Lock()
        self._children: dict[int, ForkedTrainer] = {}
        self._exited: dict[int, int] = {}
        self._started_pid: int | None = None
        self.ready = False
        self.gone = False
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # our own module
                [sys.executable, "-m", "worker.forkserver", str(theirs.fileno()), preload],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name="warm-server", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def wait_until_ready(self) -> bool:
        """Wait until the library is imported; False if the server died or took too long."""
        with self._changed:
            self._changed.wait_for(lambda: self.ready or self.gone, READY_TIMEOUT_S)
            return self.ready and not self.gone

    def fork(self, job: Job, entry: str = ENTRY) -> ForkedTrainer:
        """Return a new child that calls `entry` for `job`.

        Raises:
            ServerGone: If the server has died, or is not ready in time.
        """
        request = {
            "call": entry,
            "arguments": {
                "spec_path": str(job.spec),
                "manifest_path": str(job.manifest),
                "out_dir": str(job.out),
                "resume_from": str(job.resume_from) if job.resume_from else None,
            },
            "log": str(job.log),
        }
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._asking:
                pid = self._ask(json.dumps(request).encode(), theirs)
                child = ForkedTrainer(pid, ours)
                with self._changed:
                    self._children[pid] = child
                    if pid in self._exited or self.gone:
                        self._end(pid, self._exited.pop(pid, SERVER_GONE))
                return child
        except BaseException:
            ours.close()
            raise

    def close(self) -> None:
        """End the server; its children end when their control sockets close."""
        self._channel.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, line: bytes, control: socket.socket) -> int:
        if not self.wait_until_ready():
            raise ServerGone("the warm server is not ready")
        with self._changed:
            self._started_pid = None
        try:
            socket.send_fds(self._channel, [line], [control.fileno()])
        except OSError as error:
            raise ServerGone(str(error)) from error
        with self._changed:
            self._changed.wait_for(
                lambda: self._started_pid is not None or self.gone, START_TIMEOUT_S
            )
            if self._started_pid is None:
                raise ServerGone("the warm server did not start a trainer")
            return self._started_pid

    def _listen(self) -> None:
        try:
            with self._channel.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
        except (OSError, ValueError):
            log.debug("The warm server's channel broke", exc_info=True)
        with self._changed:
            self.gone = True
            for pid in list(self._children):
                self._children[pid].kill_group()
                self._end(pid, SERVER_GONE)
            self._changed.notify_all()
        self._channel.close()
        self._process.wait()

    def _hear(self, message: dict[str, Any]) -> None:
        with self._changed:
            if "ready" in message:
                self.ready = True
                log.info("Warm server %s is ready after %.1f s", self.pid, message["ready"])
            elif "started" in message:
                self._started_pid = message["started"]
            elif message["exited"] in self._children:
                self._end(message["exited"], message["code"])
            else:
                self._exited[message["exited"]] = message["code"]
            self._changed.notify_all()

    def _end(self, pid: int, code: int) -> None:
        self._children.pop(pid).code = code


class WarmLauncher:
    """Starts trainers from a warm server, and cold ones where that fails."""

    def __init__(self, fallback: Launch = launch_cold) -> None:
        self._fallback = fallback
        self._lock = threading.Lock()
        self._server: WarmServer | None = None

    def warm_up(self) -> WarmServer:
        """Return the server, started if there is none that lives; does not wait for it."""
        with self._lock:
            if self._server is None or self._server.gone:
                if self._server is not None:
                    log.warning("The warm server died; starting another")
                self._server = WarmServer()
            return self._server

    def __call__(self, job: Job) -> TrainerProcess:
        """Start a trainer for `job`."""
        try:
            return self.warm_up().fork(job)
        except (ServerGone, OSError) as error:
            log.warning("Starting a trainer without the warm server: %s", error)
            return self._fallback(job)

    def close(self) -> None:
        """End the server."""
        with self._lock:
            if self._server is not None and not self._server.gone:
                self._server.close()
