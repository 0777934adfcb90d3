"""Keeps the run's clock, says a few times a second how far the run is, and records steps."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from trainer.eventlog import EventLog
from trainer.events import PhaseSeconds, Progress, StepsRecorded

PROGRESS_EVERY_S = 0.25
POINTS_PER_SERIES = 2000  # recorded steps of a run; more than a chart can show
RECORD_EVERY_S = 1.0  # recorded steps are said in groups
RATE_WINDOW_S = 5.0  # of the speed that is shown and the remaining time derived from it

Phase = Literal["features", "train", "validation", "test"]
Span = Literal["data", "compute", "validation", "checkpoint"]


class Clock:
    """Seconds of training, and where they went; gaps between attempts do not count."""

    def __init__(self, elapsed_s: float, run: dict[str, float], epoch: dict[str, float]) -> None:
        self.restart(elapsed_s, run, epoch)

    def restart(self, elapsed_s: float, run: dict[str, float], epoch: dict[str, float]) -> None:
        """Set the clock, and forget what it counted before."""
        self._began = time.monotonic() - elapsed_s
        self.run = dict(run)
        """Seconds by phase of the whole run."""
        self.epoch = dict(epoch)
        """Seconds by phase since `new_epoch`."""

    def elapsed_s(self) -> float:
        """Return the run's seconds so far."""
        return time.monotonic() - self._began

    @contextmanager
    def span(self, name: Span) -> Iterator[None]:
        """Count the seconds of a block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.count(name, time.monotonic() - began)

    def count(self, name: Span, seconds: float) -> None:
        """Add seconds to a phase of the run and of the epoch."""
        self.run[name] = self.run.get(name, 0.0) + seconds
        self.epoch[name] = self.epoch.get(name, 0.0) + seconds

    def new_epoch(self) -> PhaseSeconds:
        """Return the seconds of the epoch that ends here and begin to count the next."""
        seconds = PhaseSeconds(**self.epoch)
        self.epoch = {}
        return seconds

    def totals(self) -> PhaseSeconds:
        """Return the run's seconds by phase."""
        return PhaseSeconds(**self.run)


@dataclass(frozen=True)
class Length:
    """How much work the run is."""

    epochs: int
    steps_per_epoch: int
    train_images: int
    val_images: int

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.epochs * self.steps_per_epoch


class Reporter:
    """Says `progress` events at a bounded rate, with speed and remaining time."""

    def __init__(self, log: EventLog, clock: Clock, length: Length) -> None:
        self._log = log
        self._clock = clock
        self._length = length
        self._phase: Phase = "train"
        self._epoch = 1
        self.rate = 0.0
        """The learning rate that is said."""
        self._said_at = 0.0
        self._done = 0
        self._total = 0
        self._marks: deque[tuple[float, int]] = deque()
        self._seconds_per_image: dict[Phase, float] = {}

    def begin(self, phase: Phase, epoch: int, step: int, rate: float, total: int) -> None:
        """Enter a phase over `total` images, and say so."""
        self._phase, self._epoch, self.rate = phase, epoch, rate
        self._done, self._total = 0, total
        self._marks = deque([(time.monotonic(), 0)])
        self._say(step, None)
        self._said_at = 0.0  # the first batch is said whenever it comes

    def advance(
        self, images: int, step: int, loss: Callable[[], float | None] = lambda: None
    ) -> bool:
        """Count images of the phase; say how far it is if it is time, and tell whether it was.

        Args:
            images: Of the batch just done.
            step: Optimizer steps done in the run.
            loss: Returns the newest loss; asked only when something is said.
        """
        now = time.monotonic()
        self._done += images
        self._marks.append((now, self._done))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_WINDOW_S:
            self._marks.popleft()
        if now - self._said_at < PROGRESS_EVERY_S:
            return False
        self._said_at = now
        self._say(step, loss())
        return True

    def _say(self, step: int, loss: float | None) -> None:
        speed = self._speed()
        if speed:
            self._seconds_per_image[self._phase] = 1 / speed
        self._log.say(
            Progress(
                time=time.time(),
                phase=self._phase,
                epoch=self._epoch,
                epochs=self._length.epochs,
                step=step,
                steps=self._length.steps,
                loss=loss,
                learning_rate=self.rate,
                samples_per_s=speed,
                elapsed_s=self._clock.elapsed_s(),
                eta_s=self._remaining_s(),
            )
        )

    def _speed(self) -> float:
        """Return images per second of the phase, over the newest seconds."""
        (began, before), (now, done) = self._marks[0], self._marks[-1]
        return (done - before) / (now - began) if now > began else 0.0

    def _remaining_s(self) -> float | None:
        """Return the seconds still to go, or None while no training step's speed is known.

        Until a validation was seen, its images are taken to cost what training ones do; that is
        too much rather than too little.
        """
        train = self._seconds_per_image.get("train")
        if train is None or self._phase == "features":
            return None
        validation = self._seconds_per_image.get("validation", train)
        here = self._total - self._done
        epochs = self._length.epochs - self._epoch
        seconds = epochs * (
            self._length.train_images * train + self._length.val_images * validation
        )
        if self._phase == "train":
            return seconds + here * train + self._length.val_images * validation
        return seconds + here * validation


class StepRecorder:
    """Says loss and learning rate of every n-th step, in groups."""

    def __init__(self, log: EventLog, epoch: int, length: Length) -> None:
        self._log = log
        self._epoch = epoch
        self._stride = max(1, length.steps // POINTS_PER_SERIES)
        self._said_at = time.monotonic()
        self._noted: list[tuple[int, int, float, float]] = []

    def note(self, step: int, batch: int, elapsed_s: float, rate: float) -> None:
        """Remember a step if it is one of those that are recorded."""
        if step % self._stride == 0:
            self._noted.append((step, batch, elapsed_s, rate))

    def say_if_due(self, losses: Tensor) -> None:
        """Say what was noted if the last time is long enough ago."""
        if time.monotonic() - self._said_at >= RECORD_EVERY_S:
            self.say(losses)

    def say(self, losses: Tensor) -> None:
        """Say what was noted; `losses` holds the epoch's, one a batch."""
        self._said_at = time.monotonic()
        if not self._noted:
            return
        steps, batches, elapsed, rates = zip(*self._noted, strict=True)
        self._noted = []
        self._log.say(
            StepsRecorded(
                time=time.time(),
                epoch=self._epoch,
                steps=list(steps),
                elapsed_s=list(elapsed),
                loss=losses[list(batches)].tolist(),
                learning_rate=list(rates),
            )
        )
