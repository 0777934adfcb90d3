"""A trainer that keeps the contract and learns nothing: no torch, milliseconds instead of seconds.

`python fake_trainer.py ACT [--pace S] --spec … --data … --out … [--resume-from …] --control-fd N`
Its figures are a function of the epoch, so a run that was disturbed must end with the same ones.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from trainer.events import (
    Checkpointed,
    EpochFinished,
    Evaluated,
    Event,
    Logged,
    PhaseSeconds,
    Progress,
    RunFailed,
    RunFinished,
    RunStarted,
    StepsRecorded,
    event_line,
)

STEPS = 5
"""Per epoch."""


class Interrupted(BaseException):
    pass


class FakeTrainer:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out = Path(options.out)
        self.spec = json.loads(Path(options.spec).read_text())
        self.epochs = self.spec["training"]["epochs"]
        self.checkpoint = self.out / "checkpoints" / "last.pt"
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        self.events = self.out / "events.jsonl"
        self.done = 0
        offset = 0
        if options.resume_from:
            before = Path(options.resume_from)
            if (before / "checkpoints" / "last.pt").exists():
                state = json.loads((before / "checkpoints" / "last.pt").read_text())
                self.done, offset = state["epoch"], state["offset"]
                self.events.write_bytes((before / "events.jsonl").read_bytes()[:offset])
                shutil.copy(before / "checkpoints" / "last.pt", self.checkpoint)
        self.file = self.events.open("ab", buffering=0)
        start = {"events_offset": offset, "step": self.done * STEPS, "epochs": self.done}
        os.write(options.control_fd, json.dumps(start).encode() + b"\n")
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        with contextlib.suppress(ConnectionError):  # the greeting may still lie unread
            while os.read(self.options.control_fd, 64):
                pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def say(self, event: Event) -> None:
        line = event_line(event)
        half = len(line) // 2  # a reader must not stumble over half a line
        self.file.write(line[:half])
        self.file.write(line[half:])

    def train(self) -> None:
        started = {
            "time": time.time(),
            "device": "cpu",
            "versions": {},
            "parameters_total": 10,
            "parameters_trained": 10,
            "classes": ["a", "b"],
            "split_sizes": {"train": 8, "val": 2},
            "epochs": self.epochs,
            "steps_per_epoch": STEPS,
            "resolved": {},
            "resumed_from_step": self.done * STEPS or None,
        }
        self.say(RunStarted.model_validate(started))
        for epoch in range(self.done + 1, self.epochs + 1):
            self.one_epoch(epoch)
        self.evaluate()
        self.say(
            RunFinished(
                time=time.time(),
                best_epoch=self.epochs,
                best_val_accuracy=0.5,
                epochs=self.epochs,
                steps=self.epochs * STEPS,
                elapsed_s=1.0,
                standalone_s=1.0,
                seconds=PhaseSeconds(),
            )
        )

    def one_epoch(self, epoch: int) -> None:
        for number in range(1, STEPS + 1):
            step = (epoch - 1) * STEPS + number
            self.say(self.progress(epoch, step))
            time.sleep(self.options.pace / STEPS)
        steps = [(epoch - 1) * STEPS + number for number in range(1, STEPS + 1)]
        self.say(
            StepsRecorded(
                time=time.time(),
                epoch=epoch,
                steps=steps,
                elapsed_s=[step / 10 for step in steps],
                loss=[1 / step for step in steps],
                learning_rate=[0.1] * STEPS,
            )
        )
        self.say(
            EpochFinished(
                time=time.time(),
                epoch=epoch,
                step=epoch * STEPS,
                elapsed_s=epoch / 2,
                train_loss=1 / epoch,
                train_accuracy=1 - 1 / (epoch + 1),
                val_loss=1.5 / epoch,
                val_accuracy=1 - 1.5 / (epoch + 1),
                learning_rate=0.1,
                is_best=True,
                seconds=PhaseSeconds(),
            )
        )
        temporary = self.checkpoint.with_name("last.pt.tmp")
        temporary.write_text(json.dumps({"epoch": epoch, "offset": self.events.stat().st_size}))
        time.sleep(self.options.pace / 20)  # a moment in which to be killed
        temporary.replace(self.checkpoint)
        self.say(Checkpointed(time=time.time(), epoch=epoch, step=epoch * STEPS))

    def progress(self, epoch: int, step: int) -> Progress:
        return Progress(
            time=time.time(),
            phase="train",
            epoch=epoch,
            epochs=self.epochs,
            step=step,
            steps=self.epochs * STEPS,
            loss=1.0,
            learning_rate=0.1,
            samples_per_s=1.0,
            elapsed_s=0.1,
            eta_s=None,
        )

    def evaluate(self) -> None:
        figures = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 1}
        self.say(
            Evaluated.model_validate(
                {
                    "time": time.time(),
                    "split": "val",
                    "epoch": self.epochs,
                    "accuracy": 0.5,
                    "loss": 0.7,
                    "samples": 2,
                    "samples_fingerprint": "f",
                    "confusion": [[1, 0], [1, 0]],
                    "classes": [{"name": "a", **figures}, {"name": "b", **figures}],
                    "predictions_file": "predictions/val.npz",
                }
            )
        )


def act(trainer: FakeTrainer, what: str) -> int:
    if what == "train":
        trainer.train()
        return 0
    if what == "say-nothing":
        time.sleep(600)
    if what == "ignore-term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        helper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        subprocess.Popen([sys.executable, "-c", helper + "time.sleep(600)"])
        trainer.train()
        time.sleep(600)
    if what == "leave-a-helper":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        trainer.train()
        return 0
    if what == "fail":
        trainer.say(RunFailed(time=time.time(), title="No", detail="Why", remedy="Mend it"))
        return 4
    if what == "crash":
        os.write(2, b"the last words\n")
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "crash-after-a-checkpoint":
        trainer.one_epoch(trainer.done + 1)
        return 1
    if what == "chatter":
        for number in range(3000):
            trainer.say(Logged(time=time.time(), message=f"line {number}"))
        trainer.train()
        return 0
    if what == "stop-early":
        return 0
    raise ValueError(what)


def interrupt(*_: object) -> None:
    raise Interrupted


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("act")
    parser.add_argument("--pace", type=float, default=0.05)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--resume-from")
    parser.add_argument("--control-fd", type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return act(FakeTrainer(options), options.act)
    except Interrupted:
        return 3


if __name__ == "__main__":
    sys.exit(main())
