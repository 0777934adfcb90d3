"""The model server's process: started ahead or on demand, asked, ended when it hangs, replaced.

It is `trainer.serve` in a session of its own, spoken to over its standard streams; the end of its
input ends it, so it cannot outlive this worker. What its requests cost in memory and time, and
what becomes of it, is decided here.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from worker.processes import how_it_ended
from worker.programs import LOOK_S, signal_group

log = logging.getLogger(__name__)

START_LIMIT_S = 180.0
"""A cold disk can take a minute to deliver torch."""
REQUEST_LIMIT_S = 120.0
"""The largest networks take some seconds to load and to run on a slow CPU."""
REAP_LIMIT_S = 5.0

Answer = dict[str, Any]


class ModelServer:
    """One server at a time, which does one request at a time."""

    def __init__(
        self,
        memory_bytes: int,
        *,
        command: Sequence[str] = (sys.executable, "-m", "trainer.serve"),
        request_limit_s: float = REQUEST_LIMIT_S,
    ) -> None:
        """Start nothing yet.

        Args:
            memory_bytes: Of the models it keeps.
            command: Starts it.
            request_limit_s: After which a request is taken to hang, and the server is killed.
        """
        self._command = [*command, f"--memory-bytes={memory_bytes}"]
        self._request_limit_s = request_limit_s
        self._asking = threading.Lock()
        self._process: _Process | None = None
        self._number = 0
        self.used_at: float | None = None
        """When it was last asked, of a server that may hold models; monotonic."""

    @property
    def is_running(self) -> bool:
        """Whether there is a server, warm or getting so."""
        process = self._process
        return process is not None and not process.has_ended

    def warm_up(self) -> None:
        """Start a server if there is none; returns at once."""
        with self._asking:
            self._running()

    def ask(self, request: dict[str, Any], goes_on: Callable[[], bool]) -> Answer | None:
        """Return `{"ready": …}` or `{"failed": …}`; None if `goes_on` ended it.

        Args:
            goes_on: Called now and then; when it says no, the server is killed, as nothing else
                interrupts what it is at.
        """
        with self._asking:
            process = self._running()
            self._number += 1
            self.used_at = time.monotonic()
            process.send({**request, "id": self._number})
            began, was_warm = time.monotonic(), process.is_warm
            while True:
                answer = process.wait_for(self._number, LOOK_S)
                if answer is not None:
                    self.used_at = time.monotonic()
                    return answer
                if process.has_ended:
                    return _failed(f"The model server ended with {how_it_ended(process.code())}.")
                if not goes_on():
                    self._end()
                    return None
                if process.is_warm and not was_warm:
                    began, was_warm = time.monotonic(), True  # the request has only now begun
                limit_s = self._request_limit_s if was_warm else START_LIMIT_S
                if time.monotonic() - began > limit_s:
                    self._end()
                    return _failed(f"There was no answer within {limit_s:.0f} s.")

    def close(self) -> None:
        """End the server, and with it the models it holds; not within a request."""
        with self._asking:
            self._end()

    def kill(self) -> None:
        """Kill the server now, whatever it is at."""
        process = self._process
        if process is not None:
            process.kill()

    def _running(self) -> _Process:
        if self._process is None or self._process.has_ended:
            if self._process is not None:
                code = self._process.code()
                log.warning("The model server ended with %s; starting another", how_it_ended(code))
            self._process = _Process(self._command)
            self.used_at = None
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.code()
        self._process, self.used_at = None, None


class _Process:
    """A server process and what it has said."""

    def __init__(self, command: Sequence[str]) -> None:
        self._popen = subprocess.Popen(  # our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            # A GPU belongs to the runs.
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )
        self._changed = threading.Condition()
        self._answers: dict[int, Answer] = {}
        self.is_warm = False
        self.has_ended = False
        threading.Thread(target=self._listen, name="model-server", daemon=True).start()

    def send(self, request: dict[str, Any]) -> None:
        """Hand over a request; if the server is gone, `has_ended` will say so."""
        assert self._popen.stdin is not None  # noqa: S101 - asked for with PIPE
        try:
            self._popen.stdin.write(json.dumps(request).encode() + b"\n")
            self._popen.stdin.flush()
        except OSError:
            self.kill()  # so that its end is heard of, if only its input was broken

    def wait_for(self, number: int, timeout_s: float) -> Answer | None:
        """Return the answer to a request if it comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self.has_ended, timeout_s)
            return self._answers.pop(number, None)

    def kill(self) -> None:
        """Kill it and what it has started."""
        signal_group(self._popen, signal.SIGKILL)

    def code(self) -> int:
        """Return its exit code once it has ended."""
        try:
            return self._popen.wait(REAP_LIMIT_S)
        except subprocess.TimeoutExpired:  # it hangs in the kernel
            return -signal.SIGKILL

    def _listen(self) -> None:
        assert self._popen.stdout is not None  # noqa: S101 - asked for with PIPE
        with self._popen.stdout as lines:
            for line in lines:
                self._hear(line)
        self._popen.wait()
        if self._popen.stdin is not None:
            try:
                self._popen.stdin.close()
            except OSError:  # what was still to be written has no reader
                log.debug("The model server left something unread", exc_info=True)
        with self._changed:
            self.has_ended = True
            self._changed.notify_all()

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            log.warning("The model server said: %r", line)
            return
        with self._changed:
            if "warm" in said:
                self.is_warm = True
                log.info("The model server is warm after %.1f s", said["warm"])
            else:
                self._answers[said.pop("id")] = said
            self._changed.notify_all()


def _failed(detail: str) -> Answer:
    return {
        "failed": {
            "title": "The model could not be asked",
            "detail": detail,
            "remedy": "Try again: another server is started. The interactive worker's log may "
            "hold more.",
            "errors": [],
        }
    }
