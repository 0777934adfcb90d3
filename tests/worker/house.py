"""A small installation for tests: short settings, a store, a broker, workers as processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from store import datasets, runs
from store.database import Store, open_store
from store.lifecycle import claim
from store.rows import RunRow
from store.series import series
from store.settings import Settings
from trainer.datasets.folder import scan_folder
from trainer.datasets.manifest import save_manifest
from trainer.parsing import parse_spec
from worker.broker import embedded_broker_command, wait_for_broker
from worker.processes import CommandTrainer, Job, Launch, TrainerProcess

ROOT = Path(__file__).parents[2]
FAKE_TRAINER = Path(__file__).with_name("fake_trainer.py")
FAKE_WORKER = Path(__file__).with_name("fake_worker.py")
SERIES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "batch_loss")
PATIENCE_S = 60.0
"""Long: the machine is shared, and a wait that succeeds ends at once."""

SHORT = {
    "heartbeat_s": 0.2,
    "lease_s": 2.0,
    "tick_s": 0.3,
    "cancel_grace_s": 1.0,
    "model_warm_s": 0.0,
}


def fake_launch(act: str = "train", pace_s: float = 0.05) -> Launch:
    """Return what starts the fake trainer in place of the real one."""

    def launch(job: Job) -> TrainerProcess:
        command = [sys.executable, str(FAKE_TRAINER), act, "--pace", str(pace_s)]
        command += ["--spec", str(job.spec), "--data", str(job.manifest), "--out", str(job.out)]
        if job.resume_from is not None:
            command += ["--resume-from", str(job.resume_from)]
        return CommandTrainer(command, job)

    return launch


@dataclass
class House:
    settings: Settings
    store: Store
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def build(cls, data_dir: Path, database_url: str = "", **values: Any) -> House:
        settings = Settings(data_dir=data_dir, database_url=database_url, **{**SHORT, **values})
        store = open_store(settings)
        store.migrate()
        return cls(settings, store)

    def add_dataset(self, name: str = "shapes") -> None:
        """Register a dataset as ready, of two classes that brightness tells apart."""
        row = datasets.register_dataset(self.store, name, "folder", name, "tester")
        folder = self.settings.dataset_dir(row.id)
        chance = random.Random(0)  # noqa: S311 - pixels, not secrets
        for label, base in (("dark", 60), ("light", 190)):
            (folder / "images" / label).mkdir(parents=True)
            for number in range(12):
                pixels = bytes(base + chance.randrange(-50, 50) for _ in range(16 * 16 * 3))
                image = Image.frombytes("RGB", (16, 16), pixels)
                image.save(folder / "images" / label / f"{number}.png")
        manifest = scan_folder(folder / "images", name)
        save_manifest(manifest, folder / "manifest.json")
        datasets.dataset_ready(self.store, row.id, manifest.fingerprint, manifest.summary())

    def submit(self, *, epochs: int = 3, priority: int = 0, dataset: str = "shapes") -> int:
        spec = parse_spec(
            {
                "dataset": {"name": dataset, "input_size_px": 16},
                "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
                "training": {"epochs": epochs, "batch_size": 4, "device": "cpu"},
                "augmentation": {"preset": "standard"},
            }
        )
        run, _ = runs.create_run(self.store, spec, owner="tester", priority=priority)
        return run.id

    def claim(self, worker: str = "w") -> Any:
        found = claim(self.store, worker, device="cpu", lease_s=self.settings.lease_s)
        assert found is not None
        return found

    def run(self, run_id: int) -> RunRow:
        return runs.get_run(self.store, run_id)

    def wait(self, run_id: int, *statuses: str) -> RunRow:
        """Wait until the run has one of the statuses; by default until it has ended."""
        wanted = set(statuses) or {"succeeded", "failed", "cancelled"}
        wait_until(lambda: self.run(run_id).status in wanted, lambda: self.run(run_id))
        return self.run(run_id)

    def wait_for_epoch(self, run_id: int, epoch: int) -> None:
        wait_until(lambda: self.run(run_id).epoch >= epoch, lambda: self.run(run_id))

    def figures(self, run_id: int) -> dict[str, list[tuple[int, float]]]:
        """Return each series as (step, value), without the seconds, which always differ."""
        found = series(self.store, [run_id], SERIES)
        return {
            name: list(zip(points.steps, points.values, strict=True))
            for (_, name), points in found.items()
        }

    def outcomes(self, run_id: int) -> list[str | None]:
        return [attempt.outcome for attempt in runs.attempts(self.store, run_id)]

    def environment(self) -> dict[str, str]:
        given = {
            f"TUNEBOARD_{name.upper()}": (
                os.pathsep.join(map(str, value)) if isinstance(value, tuple) else str(value)
            )
            for name, value in self.settings.model_dump(exclude_unset=True).items()
        }
        kept = {name: text for name, text in os.environ.items() if "TUNEBOARD" not in name}
        return {**kept, **given, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start one of our programs with this installation's settings."""
        process = subprocess.Popen(
            [sys.executable, *command], env=self.environment(), cwd=ROOT, **options
        )
        self.processes.append(process)
        return process

    def start_fake_worker(self, act: str = "train", *, pace_s: float = 0.05, slots: int = 1) -> Any:
        return self.start(str(FAKE_WORKER), act, str(pace_s), str(slots))

    def start_broker(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            embedded_broker_command(self.settings), stdout=subprocess.DEVNULL
        )
        self.processes.append(process)
        wait_for_broker(self.settings, alive=lambda: process.poll() is None)
        return process

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        wait_until(lambda: not self.trainers(), self.trainers)
        self.store.dispose()

    def trainers(self) -> list[int]:
        """Return the processes that work in this installation's folder of runs, but its workers."""
        started = {process.pid for process in self.processes}
        return [pid for pid in processes_of(str(self.settings.runs_dir)) if pid not in started]


def wait_until(
    holds: Callable[[], bool], tell: Callable[[], Any] = lambda: "", patience_s: float = PATIENCE_S
) -> None:
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain: {tell()}"
        time.sleep(0.02)


def processes_of(text: str) -> list[int]:
    """Return the processes that have `text` in their command line or among their open files."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            files = [file.path for file in process.open_files()]
            if any(text in part for part in [*process.cmdline(), *files]):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
