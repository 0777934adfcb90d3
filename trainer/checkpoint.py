"""What a run needs to go on after any kill, and the order in which it reaches the disk.

1. the best weights so far, under a name with their epoch;
2. `events.jsonl`, whose length then goes into
3. `last.pt`, which names both and takes the old one's place in one step.

A kill between any two leaves the old `last.pt`, what it names, and at most files that nobody
names; the next attempt removes those.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from trainer.eventlog import EVENTS_FILE
from trainer.files import TEMPORARY_SUFFIX, write_atomically

_LOG = logging.getLogger(__name__)

FORMAT = 1  # raised when the meaning of a field changes
LAST_FILE = "last.pt"
BEST_FILE = "best.safetensors"
_BEST_OF_EPOCH = "best-epoch-{epoch:05d}.safetensors"
_BEST_PATTERN = "best-epoch-*.safetensors"


@dataclass
class State:
    """A run between two steps, as plain data and tensors."""

    spec: str
    """The spec's JSON; a checkpoint of another spec is not resumed."""
    dataset_fingerprint: str
    choices: dict[str, Any]
    versions: dict[str, str]
    backbone_digest: str
    """Of what is not in `model` because it never changes; empty where all of it is."""
    pixel_mean: list[float] = field(default_factory=list)
    """Of the training images, by channel; empty unless normalization is computed."""
    pixel_std: list[float] = field(default_factory=list)
    epoch: int = 1
    """The epoch under way, from 1; one more than the last when all are done."""
    batch: int = 0
    """Batches of that epoch already trained on."""
    step: int = 0
    stage: int = 0
    """Stages of the freezing schedule that have begun; `optimizer` is of what they train."""
    elapsed_s: float = 0.0
    found_s: float = 0.0
    """Seconds that earlier runs took to compute what this one found computed."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By phase, over the whole run."""
    epoch_seconds: dict[str, float] = field(default_factory=dict)
    """By phase, of the epoch under way."""
    epoch_losses: list[float] = field(default_factory=list)
    """Of the epoch's batches already trained on."""
    epoch_correct: int = 0
    best_epoch: int = 0
    best_val_accuracy: float = -1.0
    best_val_loss: float = float("inf")
    model: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    averages: dict[str, Tensor] = field(default_factory=dict)
    """The moving average of `model`; empty where none is kept."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """Of the loss in fp16."""
    images_at_once: int = 0
    """Most images that go through the network together; fewer than asked for once memory ran
    out. 0 in checkpoints that do not know it: as many as asked for."""
    evaluation_batch: int = 0
    """Images evaluated at a time, as above."""
    history: list[tuple[float, float]] = field(default_factory=list)
    """Validation accuracy and loss of each finished epoch."""
    ended: Literal["", "time_limit", "early_stopping"] = ""
    """Why no epoch follows the one under way, or the newest where none is."""
    events_bytes: int = 0

    def best_file(self) -> str | None:
        """Return the name of the best epoch's weights while the run goes on."""
        return _BEST_OF_EPOCH.format(epoch=self.best_epoch) if self.best_epoch else None


class CheckpointFolder:
    """The folder `checkpoints` of one attempt."""

    def __init__(self, attempt: Path) -> None:
        self.attempt = attempt
        self.path = attempt / "checkpoints"

    def load_last(self) -> State | None:
        """Return the newest state, or None where there is none that can be read."""
        path = self.path / LAST_FILE
        if not path.exists():
            return None
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # broken disks break files in many ways; a fresh start is always right
            _LOG.exception("%s cannot be read; starting afresh", path)
            return None
        if content.pop("format", None) != FORMAT:
            _LOG.warning("%s was written by another version; starting afresh", path)
            return None
        return State(**content)

    def save_last(self, state: State) -> None:
        """Put `state` in the place of the state before."""
        content = {item.name: getattr(state, item.name) for item in fields(state)}
        content["format"] = FORMAT
        write_atomically(self.path / LAST_FILE, lambda file: torch.save(content, file))

    def save_best(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights of an epoch that is the best so far."""
        self._save(_BEST_OF_EPOCH.format(epoch=epoch), tensors)

    def save_final(self, tensors: Mapping[str, Tensor]) -> None:
        """Write the run's best weights under their final name."""
        self._save(BEST_FILE, tensors)

    def load_best(self, state: State) -> dict[str, Tensor]:
        """Return the best epoch's weights, under whichever name they are."""
        own = self.path / str(state.best_file())
        return load_file(own if own.exists() else self.path / BEST_FILE)

    def prune(self, keep: Iterable[str | None]) -> None:
        """Remove half-written files, and weights of epochs whose names are not in `keep`."""
        kept = set(keep)
        for folder in (self.path, self.attempt / "predictions", self.attempt):
            for leftover in folder.glob(f"*{TEMPORARY_SUFFIX}"):
                leftover.unlink()
        for weights in self.path.glob(_BEST_PATTERN):
            if weights.name not in kept:
                weights.unlink()

    def link_last(self, other: CheckpointFolder) -> None:
        """Take over another attempt's last state, which nobody can replace from here on."""
        if (other.path / LAST_FILE).exists():
            _link(other.path / LAST_FILE, self.path / LAST_FILE)

    def adopt(self, other: CheckpointFolder, state: State) -> None:
        """Take over the events and best weights that go with the state taken from `other`."""
        events = other.attempt / EVENTS_FILE
        write_atomically(
            self.attempt / EVENTS_FILE,
            lambda file: file.write(events.read_bytes()[: state.events_bytes]),
        )
        for name in (state.best_file(), BEST_FILE):
            if name and (other.path / name).exists():
                _link(other.path / name, self.path / name)

    def _save(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        content = save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()})
        write_atomically(self.path / name, lambda file: file.write(content))


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; none of ours is ever changed in place. Copy where impossible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
