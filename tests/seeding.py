"""Fills a database with runs in every state, as a lab's would look; for page and browser tests.

As a program it makes a data directory to look at pages with:
`python -m tests.seeding DIR && TUNEBOARD_DATA_DIR=DIR uvicorn --factory app.main:create_app`.
"""

from __future__ import annotations

import math
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from store import lifecycle, runs
from store.database import Store, open_store
from store.datasets import dataset_failed, dataset_ready, get_dataset, register_dataset
from store.rows import DatasetRow, WorkerRow
from store.settings import Settings
from store.workers import beat
from trainer import events as said
from trainer.datasets.collection import scan_collection
from trainer.datasets.folder import scan_folder
from trainer.datasets.manifest import save_manifest
from trainer.parsing import parse_spec
from trainer.spec import ExperimentSpec

SCRIPT_NAME = "<script>alert(1)</script>"
EMOJI_NOTE = "looks good 🐜🐝 & <b>not bold</b>"
LEASE_S = 3600.0


@dataclass(frozen=True)
class Seeded:
    """The numbers of the runs, by what became of them."""

    scratch: int
    frozen: int
    tuned: int
    failed: int
    cancelled: int
    script: int
    running: int
    queued: int


def run_spec(name: str = "", dataset: str = "digits", **sections: Any) -> ExperimentSpec:
    return parse_spec(
        {
            "name": name,
            "dataset": {"name": dataset},
            "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
            **sections,
        }
    )


class Teller:
    """Tells the story of one attempt in events, with curves that look like a run's."""

    def __init__(
        self,
        store: Store,
        run_id: int,
        attempt: int,
        *,
        epochs: int,
        top: float,
        speed: float = 1.0,
        classes: tuple[str, ...] = tuple("0123456789"),
        steps_per_epoch: int = 45,
        trained: int = 1_234_567,
    ) -> None:
        self.store, self.run_id, self.attempt = store, run_id, attempt
        self.epochs, self.top, self.speed, self.classes = epochs, top, speed, classes
        self.per_epoch = steps_per_epoch
        self.trained = trained
        self.random = random.Random(run_id)  # noqa: S311 - curves, not secrets
        self.started_at = time.time() - 300

    def tell(self, *events: said.Event) -> None:
        lifecycle.record(self.store, self.run_id, self.attempt, lease_s=LEASE_S, events=events)

    def start(self, **changes: Any) -> None:
        fields: dict[str, Any] = {
            "time": self.started_at,
            "device": "cpu",
            "versions": {"torch": "2.9.1", "torchvision": "0.24.1", "timm": "1.0.22"},
            "parameters_total": 3_400_000,
            "parameters_trained": self.trained,
            "classes": list(self.classes),
            "split_sizes": {"train": 1438, "val": 359},
            "epochs": self.epochs,
            "steps_per_epoch": self.per_epoch,
            "resolved": {
                "device": "cpu",
                "precision": "fp32",
                "threads": 2,
                "input_size_px": 64,
                "normalization": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            },
        }
        self.tell(said.RunStarted(**fields | changes))
        self.log("Decoded 1797 images in 0.4 s.")

    def log(self, message: str, level: Any = "info") -> None:
        self.tell(said.Logged(time=time.time(), level=level, message=message))

    def epoch(self, number: int, **changes: Any) -> None:
        first = (number - 1) * self.per_epoch
        noise = self.random.gauss
        level = self.top * (1 - math.exp(-0.55 * number))
        rate = 0.01 * (0.5 + 0.5 * math.cos(math.pi * number / self.epochs))
        steps = [first + 1 + offset for offset in range(0, self.per_epoch, 3)]
        elapsed = number * self.speed
        fields: dict[str, Any] = {
            "time": self.started_at + elapsed,
            "epoch": number,
            "step": number * self.per_epoch,
            "elapsed_s": elapsed,
            "train_loss": 2.3 * math.exp(-0.5 * number) + abs(noise(0.03, 0.01)),
            "train_accuracy": min(1.0, level + 0.02 + noise(0, 0.004)),
            "val_loss": 2.3 * math.exp(-0.42 * number) + abs(noise(0.08, 0.02)),
            "val_accuracy": min(1.0, level + noise(0, 0.006)),
            "learning_rate": rate,
            "is_best": True,
            "seconds": said.PhaseSeconds(data=0.1, compute=0.7, validation=0.15, checkpoint=0.05),
        }
        self.tell(
            said.StepsRecorded(
                time=self.started_at + elapsed,
                epoch=number,
                steps=steps,
                elapsed_s=[step / self.per_epoch * self.speed for step in steps],
                loss=[
                    2.3 * math.exp(-0.5 * step / self.per_epoch) + abs(noise(0.1, 0.06))
                    for step in steps
                ],
                learning_rate=[rate for _ in steps],
            ),
            said.EpochFinished(**fields | changes),
        )
        self.log(f"Epoch {number} of {self.epochs} done.")

    def progress(self, step: int) -> None:
        steps = self.epochs * self.per_epoch
        self.tell(
            said.Progress(
                time=time.time(),
                phase="train",
                epoch=1 + step // self.per_epoch,
                epochs=self.epochs,
                step=step,
                steps=steps,
                loss=0.4,
                learning_rate=0.005,
                samples_per_s=1520.0,
                elapsed_s=step / self.per_epoch * self.speed,
                eta_s=(steps - step) / self.per_epoch * self.speed,
            )
        )

    def evaluate(self, split: Any = "val", fingerprint: str = "a" * 64) -> None:
        size, support = len(self.classes), 36
        confusion = [[0] * size for _ in range(size)]
        for true in range(size):
            right = round(support * min(1.0, self.top + self.random.gauss(0, 0.02)))
            confusion[true][true] = min(support, right)
            for _ in range(support - confusion[true][true]):
                confusion[true][(true + self.random.choice((1, 2, 5))) % size] += 1
        right = sum(confusion[index][index] for index in range(size))
        columns = [sum(row[index] for row in confusion) for index in range(size)]
        self.tell(
            said.Evaluated(
                time=time.time(),
                split=split,
                epoch=self.epochs,
                accuracy=right / (size * support),
                loss=0.21,
                top5_accuracy=0.995 if size > 5 else None,
                macro_precision=self.top,
                macro_recall=self.top,
                macro_f1=self.top,
                calibration_error=0.034,
                samples=size * support,
                samples_fingerprint=fingerprint,
                confusion=confusion,
                classes=[
                    said.ClassFigures(
                        name=name,
                        precision=confusion[index][index] / max(columns[index], 1),
                        recall=confusion[index][index] / support,
                        f1=2 * confusion[index][index] / max(columns[index] + support, 1),
                        support=support,
                    )
                    for index, name in enumerate(self.classes)
                ],
                predictions_file=f"attempt-001/predictions/{split}.npz",
            )
        )

    def finish(self) -> None:
        elapsed = self.epochs * self.speed
        self.tell(
            said.RunFinished(
                time=time.time(),
                best_epoch=self.epochs,
                best_val_accuracy=self.top,
                epochs=self.epochs,
                steps=self.epochs * self.per_epoch,
                elapsed_s=elapsed + 0.8,
                standalone_s=elapsed + 2.2,
                seconds=said.PhaseSeconds(
                    data=0.1 * elapsed,
                    compute=0.7 * elapsed,
                    validation=0.15 * elapsed,
                    checkpoint=0.05 * elapsed,
                ),
            )
        )
        lifecycle.finish(self.store, self.run_id, self.attempt, "succeeded")

    def whole(self, **evaluation: Any) -> None:
        """Tell the run from its start to its end."""
        self.start()
        for number in range(1, self.epochs + 1):
            self.epoch(number)
        self.progress(self.epochs * self.per_epoch)
        self.evaluate(**evaluation)
        self.finish()


def add_digits(store: Store, settings: Settings) -> None:
    """Add a small ready dataset named digits, with images and a skipped file."""
    row = register_dataset(store, "digits", "catalogue", "digits", "local", "Handwritten digits")
    folder = settings.dataset_dir(row.id)
    shades = random.Random(0)  # noqa: S311 - pictures, not secrets
    for label in range(10):
        place = folder / "images" / str(label)
        place.mkdir(parents=True)
        for number in range(9):
            picture = Image.new("L", (8, 8))
            picture.putdata([shades.randrange(40) + (label * 20) for _ in range(64)])
            picture.save(place / f"{number:04d}.png")
    Image.new("L", (8, 8)).save(folder / "images" / "3" / "advert.gif")
    manifest = scan_folder(folder / "images", "digits")
    save_manifest(manifest, folder / "manifest.json")
    note = "These are scans of 8 × 8 pixels, not photos: a network from scratch may win."
    dataset_ready(store, row.id, manifest.fingerprint, {**manifest.summary(), "note": note})


def add_collection(store: Store, settings: Settings, folder: Path) -> DatasetRow:
    """Add a folder of images as a collection that is ready, called like the folder."""
    name = folder.name
    row = register_dataset(store, name, "folder", str(folder), "local", labelled=False)
    manifest = scan_collection(folder, name)
    settings.dataset_dir(row.id).mkdir(parents=True)
    save_manifest(manifest, settings.dataset_dir(row.id) / "manifest.json")
    dataset_ready(store, row.id, manifest.fingerprint, manifest.summary())
    return get_dataset(store, name)


def claim(store: Store, run_id: int, worker: str = "lab:1:a") -> int:
    """Make a worker take that run and return the attempt's number."""
    found = lifecycle.claim(store, worker, device="cpu", lease_s=LEASE_S)
    if found is None or found.run.id != run_id:
        raise AssertionError(f"expected to claim run {run_id}, got {found}")
    return found.attempt


def add_workers(store: Store) -> None:
    """Make the two workers of the lab be heard of just now."""
    now = time.time()
    details = {"cpu": "2 cores"}
    beat(store, WorkerRow("lab:1:a", "train", "lab", 4711, "cpu", 1, now, details=details))
    beat(store, WorkerRow("lab:2:b", "interactive", "lab", 4712, "cpu", 2, now))


def seed(store: Store, settings: Settings) -> Seeded:
    """Fill an empty database; return the runs' numbers."""
    add_digits(store, settings)
    other = register_dataset(store, "flowers", "folder", "/data/flowers", "ann", "")
    dataset_failed(
        store,
        other.id,
        {"title": "No images", "detail": "The class `tulip` has no images.", "remedy": "Add some."},
    )
    lite = {"architecture": "timm/tf_efficientnet_lite0", "weights": "package"}
    numbers: dict[str, int] = {}

    def launch(key: str, spec: ExperimentSpec, **extra: Any) -> int:
        run, _ = runs.create_run(store, spec, owner="local", **extra)
        numbers[key] = run.id
        return run.id

    epochs = {"training": {"epochs": 12}}
    run_id = launch("scratch", run_spec("small CNN from scratch", **epochs))
    Teller(store, run_id, claim(store, run_id), epochs=12, top=0.962, speed=0.9).whole()
    run_id = launch("frozen", run_spec("", model=lite, freeze={"layers": "backbone"}, **epochs))
    Teller(
        store, run_id, claim(store, run_id), epochs=12, top=0.944, speed=0.4, trained=12_810
    ).whole()
    run_id = launch("tuned", run_spec("", model=lite, optimizer={"lr": 0.01}, **epochs))
    teller = Teller(store, run_id, claim(store, run_id), epochs=12, top=0.985, speed=3.1)
    teller.tell(
        said.Warned(
            time=time.time(),
            title="Batch statistics of 8 × 8 pixels",
            detail="The images are enlarged from 8 to 64 pixels.",
            remedy="Set dataset.input_size_px to 32 for speed.",
        )
    )
    teller.whole()

    run_id = launch("failed", run_spec("weights that are not there"))
    attempt = claim(store, run_id)
    failing = Teller(store, run_id, attempt, epochs=10, top=0.5)
    failing.tell(
        said.RunFailed(
            time=time.time(),
            title="Weights cannot be had",
            detail="resnet18-f37072fd.pth could not be downloaded: no route to host.",
            remedy="Put the file into ~/.cache/torch/hub/checkpoints.",
        )
    )
    lifecycle.finish(
        store,
        run_id,
        attempt,
        "failed",
        {
            "title": "Weights cannot be had",
            "detail": "resnet18-f37072fd.pth could not be downloaded: no route to host.",
            "remedy": "Put the file into ~/.cache/torch/hub/checkpoints.",
        },
    )
    run_id = launch("cancelled", run_spec("cancelled before its turn"))
    lifecycle.request_cancel(store, run_id)

    run_id = launch("script", run_spec(SCRIPT_NAME), note=EMOJI_NOTE)
    teller = Teller(
        store, run_id, claim(store, run_id), epochs=3, top=0.5, classes=(SCRIPT_NAME, "b & c")
    )
    teller.start()
    teller.epoch(1, train_loss=float("nan"), val_loss=float("inf"))
    teller.epoch(2)
    teller.epoch(3)
    teller.evaluate(fingerprint="b" * 64)
    teller.finish()

    run_id = launch("running", run_spec("growing", training={"epochs": 20}), priority=5)
    teller = Teller(store, run_id, claim(store, run_id), epochs=20, top=0.93, speed=1.2)
    teller.start()
    for number in range(1, 6):
        teller.epoch(number)
    teller.progress(5 * 45 + 12)

    launch("queued", run_spec("waits for its turn", training={"epochs": 5}))
    runs.create_run(store, run_spec("waits for photos", dataset="hymenoptera"), owner="ann")
    register_dataset(store, "hymenoptera", "catalogue", "hymenoptera", "local", "Ants and bees")
    add_workers(store)
    return Seeded(**numbers)


if __name__ == "__main__":
    made = Settings(data_dir=Path(sys.argv[1]))
    made.data_dir.mkdir(parents=True, exist_ok=True)
    filled = open_store(made)
    filled.migrate()
    seed(filled, made)
    filled.dispose()
