"""Finished runs with predictions of our own choosing, on the seeded digits; for comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from store import runs
from store.database import Store
from store.datasets import get_dataset
from store.rows import RunRow
from store.settings import Settings
from tests.seeding import Teller, claim
from trainer import events as said
from trainer.datasets.manifest import Item, load_manifest, samples_fingerprint
from trainer.parsing import parse_spec

CLASSES = tuple("0123456789")


def digits(settings: Settings, store: Store) -> tuple[Item, ...]:
    """Return the images of the seeded dataset, by class and number: nine of each of ten."""
    folder = settings.dataset_dir(get_dataset(store, "digits").id)
    return tuple(item for _, item in load_manifest(folder / "manifest.json").items.values())


def answers(items: Sequence[Item], wrong: Sequence[int] = (), shift: int = 1) -> list[int]:
    """Return the right class of every image, but for the places named in `wrong`."""
    found = [item.label for item in items]
    for place in wrong:
        found[place] = (found[place] + shift) % len(CLASSES)
    return found


def evaluated(
    settings: Settings,
    run_id: int,
    items: Sequence[Item],
    predicted: Sequence[int],
    split: Any = "val",
    classes: Sequence[str] = CLASSES,
    confidence: float | Sequence[float] = 0.7,
) -> said.Evaluated:
    """Write the predictions' file of a run's first attempt and return the event that tells it."""
    size = len(classes)
    labels = np.array([item.label for item in items])
    sure = np.broadcast_to(np.array(confidence, dtype=np.float32), len(items))
    shares = np.repeat((1 - sure[:, None]) / max(size - 1, 1), size, axis=1)
    shares[np.arange(len(items)), list(predicted)] = sure
    name = f"attempt-001/predictions/{split}.npz"
    path = settings.run_dir(run_id) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        ids=np.array([item.path for item in items]),
        labels=labels.astype(np.int64),
        probabilities=shares,
    )
    confusion = np.zeros((size, size), dtype=int)
    np.add.at(confusion, (labels, np.array(predicted)), 1)
    right, of, taken = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * right / np.maximum(of + taken, 1)
    return said.Evaluated(
        time=0.0,
        split=split,
        epoch=1,
        accuracy=float(right.sum() / len(items)),
        loss=0.3,
        macro_precision=float((right / np.maximum(taken, 1)).mean()),
        macro_recall=float((right / np.maximum(of, 1)).mean()),
        macro_f1=float(f1.mean()),
        calibration_error=0.1,
        samples=len(items),
        samples_fingerprint=samples_fingerprint(items),
        confusion=confusion.tolist(),
        classes=[
            said.ClassFigures(
                name=class_name,
                precision=float(right[index] / max(taken[index], 1)),
                recall=float(right[index] / max(of[index], 1)),
                f1=float(f1[index]),
                support=int(of[index]),
            )
            for index, class_name in enumerate(classes)
        ],
        predictions_file=name,
    )


def finished_run(
    store: Store,
    settings: Settings,
    name: str,
    predicted: Sequence[int],
    *,
    test: Sequence[int] | None = None,
    items: Sequence[Item] | None = None,
    confidence: float | Sequence[float] = 0.7,
    note: str = "",
    seed: int = 0,
    dataset: Mapping[str, Any] | None = None,
    **sections: Any,
) -> RunRow:
    """Add a run that has ended, with what it said of the validation (and test) images.

    Args:
        predicted: A class for each of `items`, by default all digits.
        confidence: Its probability, of all images or of each.
        dataset: Fields of the spec's dataset section.
    """
    training = {"epochs": 3, "seed": seed, **sections.pop("training", {})}
    spec = parse_spec(
        {
            "name": name,
            "dataset": {"name": "digits", **(dataset or {})},
            "model": {"architecture": "tuneboard/small_cnn", "weights": "none"},
            "training": training,
            **sections,
        }
    )
    run, _ = runs.create_run(store, spec, owner="local", note=note, priority=900)
    chosen = digits(settings, store) if items is None else items
    right = sum(item.label == one for item, one in zip(chosen, predicted, strict=True))
    accuracy = right / len(chosen)
    teller = Teller(store, run.id, claim(store, run.id), epochs=3, top=accuracy, classes=CLASSES)
    teller.start()
    for epoch in (1, 2, 3):
        teller.epoch(epoch, val_accuracy=accuracy * (0.7 + 0.1 * epoch))
    teller.tell(evaluated(settings, run.id, chosen, predicted, confidence=confidence))
    if test is not None:
        teller.tell(evaluated(settings, run.id, chosen, test, "test"))
    teller.finish()
    return runs.get_run(store, run.id)
