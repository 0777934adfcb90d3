"""Say that this worker lives, what it is made of, and what it is at."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import psutil

from store import workers
from store.database import Store, Unavailable
from store.rows import WorkerRow

log = logging.getLogger(__name__)

NAMED_PACKAGES = ("tuneboard", "torch", "torchvision", "timm", "celery")
GPU_QUERY_TIMEOUT_S = 20


def describe_worker(
    kind: Literal["train", "interactive"], device: Literal["cpu", "cuda"], slots: int
) -> WorkerRow:
    """Return this process's row, with a new id."""
    hostname, pid = socket.gethostname(), os.getpid()
    return WorkerRow(
        id=f"{hostname}:{pid}:{secrets.token_hex(4)}",
        kind=kind,
        hostname=hostname,
        pid=pid,
        device=device,
        slots=slots,
        started_at=time.time(),
        details=_details(device),
    )


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that a trainer of this process could see; empty for none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return []
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=GPU_QUERY_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("nvidia-smi does not answer, so no GPU is used: %s", error)
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


class Liveness:
    """A thread that renews the worker's row until it is stopped."""

    def __init__(
        self,
        store: Store,
        row: WorkerRow,
        heartbeat_s: float,
        current: Callable[[], list[int]],
        draining: threading.Event,
        hold: Callable[[bool], None] = lambda _held: None,
    ) -> None:
        """Prepare to say so.

        Args:
            hold: Told at each beat whether somebody asked that the worker take nothing new.
        """
        self._store = store
        self._row = row
        self._heartbeat_s = heartbeat_s
        self._current = current
        self._draining = draining
        self._hold = hold
        self._held = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="liveness", daemon=True)

    def start(self) -> None:
        """Begin to say so."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye."""
        self._stopping.set()
        self._thread.join(timeout=2)
        try:
            workers.forget(self._store, self._row.id)
        except Unavailable as error:
            log.warning("Could not say goodbye: %s", error)

    def _work(self) -> None:
        while True:
            try:
                self._beat()
            except Unavailable as error:
                log.debug("Could not say that this worker lives: %s", error)
            except Exception:
                log.exception("Could not say that this worker lives")
            if self._stopping.wait(self._heartbeat_s):
                return

    def _beat(self) -> None:
        details = {**self._row.details, "runs": self._current()}
        draining = self._draining.is_set() or self._held
        said = replace(self._row, draining=draining, details=details)
        held = workers.beat(self._store, said)
        if held != self._held:
            log.info("Asked to %s", "take nothing new" if held else "work again")
            self._held = held
            self._hold(held)
            workers.beat(self._store, replace(said, draining=self._draining.is_set() or held))


def _details(device: str) -> dict[str, Any]:
    details: dict[str, Any] = {
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "platform": platform.platform(),
        "versions": {"python": platform.python_version(), **_versions()},
    }
    if device == "cuda":
        details["gpus"] = visible_gpus()
    return details


def _versions() -> dict[str, str]:
    found = {}
    for name in NAMED_PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
