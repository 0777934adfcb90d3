"""Specs, events and runs that the store's tests are made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from store import datasets, events, lifecycle, runs
from store.database import Store
from store.rows import RunRow
from store.tables import RUNS
from trainer import events as said
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec

NAN = float("nan")


def spec(name: str = "a run", dataset: str = "digits", **training: Any) -> ExperimentSpec:
    return parse_spec(
        {
            "name": name,
            "dataset": {"name": dataset},
            "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
            "training": training,
        }
    )


def ready_dataset(store: Store, name: str = "digits") -> None:
    row = datasets.register_dataset(store, name, "catalogue", name, "ann")
    assert datasets.dataset_ready(store, row.id, "f" * 8, {"classes": ["0", "1"]})


def queued(store: Store, name: str = "a run", priority: int = 0, **training: Any) -> RunRow:
    run, new = runs.create_run(store, spec(name, **training), owner="ann", priority=priority)
    assert new
    return run


def claimed(store: Store, worker: str = "w1", lease_s: float = 60.0) -> lifecycle.Claim:
    found = lifecycle.claim(store, worker, device="cpu", lease_s=lease_s)
    assert found is not None
    return found


def running(store: Store, **training: Any) -> lifecycle.Claim:
    ready_dataset(store)
    queued(store, **training)
    return claimed(store)


def expire(store: Store, run_id: int, seconds_ago: float = 1.0) -> None:
    """Move a run's lease into the past, by the database's clock."""
    with store.write() as conn:
        conn.execute(
            update(RUNS)
            .where(RUNS.c.id == run_id)
            .values(lease_expires_at=store.now(conn) - seconds_ago)
        )


def started(**changes: Any) -> said.RunStarted:
    fields: dict[str, Any] = {
        "time": 1.0,
        "device": "cpu",
        "versions": {"torch": "2"},
        "parameters_total": 100,
        "parameters_trained": 10,
        "classes": ["0", "1"],
        "split_sizes": {"train": 8, "val": 2},
        "epochs": 3,
        "steps_per_epoch": 10,
        "resolved": {"precision": "fp32"},
    }
    return said.RunStarted(**fields | changes)


def progress(step: int, **changes: Any) -> said.Progress:
    fields: dict[str, Any] = {
        "time": float(step),
        "phase": "train",
        "epoch": 1 + step // 10,
        "epochs": 3,
        "step": step,
        "steps": 30,
        "loss": 0.5,
        "learning_rate": 0.1,
        "samples_per_s": 9.0,
        "elapsed_s": step / 10,
        "eta_s": 1.0,
    }
    return said.Progress(**fields | changes)


def steps(first: int, last: int, loss: float = 0.5) -> said.StepsRecorded:
    numbers = list(range(first, last + 1))
    return said.StepsRecorded(
        time=float(last),
        epoch=1 + (last - 1) // 10,
        steps=numbers,
        elapsed_s=[number / 10 for number in numbers],
        loss=[loss] * len(numbers),
        learning_rate=[0.1] * len(numbers),
    )


def epoch(number: int, **changes: Any) -> said.EpochFinished:
    fields: dict[str, Any] = {
        "time": number * 10.0,
        "epoch": number,
        "step": number * 10,
        "elapsed_s": float(number),
        "train_loss": 1 / number,
        "train_accuracy": 0.5,
        "val_loss": 1 / number,
        "val_accuracy": 0.1 * number,
        "learning_rate": 0.1,
        "is_best": True,
        "seconds": said.PhaseSeconds(compute=1.0),
    }
    return said.EpochFinished(**fields | changes)


def checkpoint(step: int) -> said.Checkpointed:
    return said.Checkpointed(time=float(step), epoch=step // 10, step=step)


def resources(time: float = 1.0) -> said.Resources:
    return said.Resources(time=time, memory_bytes=1, cpu_percent=99.0)


def log(message: str, time: float = 1.0) -> said.Logged:
    return said.Logged(time=time, message=message)


def evaluated(**changes: Any) -> said.Evaluated:
    fields: dict[str, Any] = {
        "time": 30.0,
        "split": "val",
        "epoch": 2,
        "accuracy": 0.75,
        "loss": 0.5,
        "samples": 4,
        "samples_fingerprint": "abc",
        "confusion": [[2, 0], [1, 1]],
        "classes": [
            said.ClassFigures(name="0", precision=0.6, recall=1, f1=0.8, support=2),
            said.ClassFigures(name="1", precision=1, recall=0.5, f1=0.6, support=2),
        ],
        "predictions_file": "attempt-001/predictions/val.npz",
    }
    return said.Evaluated(**fields | changes)


def finished() -> said.RunFinished:
    return said.RunFinished(
        time=31.0,
        best_epoch=2,
        best_val_accuracy=0.75,
        epochs=3,
        steps=30,
        elapsed_s=3.0,
        standalone_s=3.5,
        seconds=said.PhaseSeconds(),
    )


def states(store: Store, run_id: int) -> list[str]:
    rows = events.events_after(store, run_id, 0)
    return [row.payload["status"] for row in rows if row.kind == "state"]


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def reap_twice(store: Store, max_losses: int = 20) -> list[int]:
    clock, seen = Clock(), {}
    assert lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=max_losses, clock=clock) == []
    clock.now += 10
    return lifecycle.reap(store, seen=seen, heartbeat_s=5, max_losses=max_losses, clock=clock)
