"""A whole Tuneboard as a person starts it: `tuneboard up` in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.tuneboard.processes import end_all, free_port, processes_of, until

READY_WITHIN_S = 60.0
QUICK = {  # so that what takes a minute in a lab takes seconds here
    "TUNEBOARD_HEARTBEAT_S": "0.5",
    "TUNEBOARD_LEASE_S": "4",
    "TUNEBOARD_TICK_S": "1",
    "OMP_NUM_THREADS": "1",
    "TUNEBOARD_MODEL_WARM_S": "0",  # torch is imported when it is asked for
}


@dataclass
class Upped:
    """One data directory and port, and the `up` that runs on it at the moment."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def console(self) -> str:
        """What this `up` has said so far."""
        path = self.data_dir.with_suffix(".console")
        return path.read_text() if path.exists() else ""

    def start(self, *options: str) -> None:
        """Start it and wait until it says that it answers."""
        with self.data_dir.with_suffix(".console").open("wb") as console:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tuneboard", "up", "--port", str(self.port), *options],
                env={
                    **os.environ,
                    **QUICK,
                    **self.environment,
                    "TUNEBOARD_DATA_DIR": str(self.data_dir),
                },
                stdin=subprocess.DEVNULL,
                stderr=console,
                start_new_session=True,
            )
        until(self._settled, READY_WITHIN_S, "tuneboard up answers or ends")
        assert "answers at" in self.console, self.console

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def interrupt(self, number: signal.Signals = signal.SIGINT, within_s: float = 30) -> int:
        """Send `up` the signal a person would and return its status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def kill(self) -> None:
        """Send `up`, and nothing else, SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def running(self) -> list[str]:
        """Return the command lines of all its processes."""
        lines = []
        for process in processes_of(self.data_dir):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends as we look
                lines.append(" ".join(process.cmdline()))
        return lines

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        end_all(self.data_dir)

    def _settled(self) -> bool:
        assert self.process is not None
        return "answers at" in self.console or self.process.poll() is not None
