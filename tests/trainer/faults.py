"""Kills a trainer at a chosen moment, from inside; run in processes that tests may lose."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trainer import attempt, files, run
from trainer.checkpoint import CheckpointFolder
from trainer.eventlog import EventLog
from trainer.loop import Training


def run_with_fault(
    fault: str, nth: int, spec: Path, manifest: Path, out: Path, resume_from: Path | None
) -> None:
    """Run one attempt that kills itself when the fault comes for the `nth` time."""
    FAULTS[fault](nth)
    sys.exit(run.main(spec, manifest, out, resume_from))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _around(
    owner: Any,
    name: str,
    nth: int,
    *,
    before: bool = False,
    when: Callable[..., bool] | None = None,
) -> None:
    """Make the `nth` call of `owner.name` deadly, before or after it has done its work."""
    original = getattr(owner, name)
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += when is None or when(*args, **kwargs)
        if before and calls == nth:
            die()
        result = original(*args, **kwargs)
        if calls == nth:
            die()
        return result

    setattr(owner, name, wrapped)


def _is_last(_source: Any, target: Path) -> bool:
    return target.name == "last.pt"


def _half_a_file(nth: int) -> None:
    original = torch.save
    calls = 0

    def save(content: Any, file: Any) -> None:
        nonlocal calls
        calls += 1
        if calls < nth:
            original(content, file)
            return
        whole = io.BytesIO()
        original(content, whole)
        file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        file.flush()
        die()

    torch.save = save  # type: ignore[assignment]


def _slow_steps(_nth: int) -> None:
    original = Training._step

    def step(*args: Any) -> Any:
        time.sleep(0.1)
        return original(*args)

    Training._step = step  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[int], None]] = {
    "none": lambda nth: None,
    "slow steps": _slow_steps,
    "in mid-epoch": lambda nth: _around(Training, "_step", 9 + nth),
    "in validation": lambda nth: _around(Training, "_validate", nth, before=True),
    "between best and last": lambda nth: _around(CheckpointFolder, "save_best", nth),
    "events synced": lambda nth: _around(EventLog, "sync", nth),
    "half a checkpoint": _half_a_file,
    "before the replace": lambda nth: _around(files.os, "replace", nth, before=True, when=_is_last),
    "after the replace": lambda nth: _around(files.os, "replace", nth, when=_is_last),
    "before predictions": lambda nth: _around(attempt, "record", nth, before=True),
    "after predictions": lambda nth: _around(attempt, "record", nth),
    "after the final weights": lambda nth: _around(CheckpointFolder, "save_final", nth),
}
