"""Progress of runs on the console: bars on a terminal, plain lines elsewhere.

Fed with events as they come, from a server's stream or from a trainer's own file: both speak of
the same kinds. Everything goes to standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tuneboard.console import percent, say, seconds

if TYPE_CHECKING:
    from tuneboard.client import Client

_STATUS_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}
_PLAIN_EVERY_S = 5.0  # between two lines of a run within one epoch


@dataclass
class _Watched:
    """What is known of one run."""

    name: str
    task: TaskID | None = None
    status: str = "queued"
    epoch: int = 0
    epochs: int = 0
    steps: int = 0
    step: int = 0
    eta_s: float | None = None
    best: float | None = None
    said_at: float = 0.0

    @property
    def done(self) -> float:
        """Share of the steps that are done."""
        if self.status == "succeeded":
            return 1.0
        return self.step / self.steps if self.steps else 0.0

    @property
    def text(self) -> str:
        parts = [self.status]
        if self.epochs:
            parts.append(f"epoch {self.epoch}/{self.epochs}")
        if self.best is not None:
            parts.append(f"best validation accuracy {percent(self.best)}")
        if self.status == "running" and self.eta_s is not None:
            parts.append(f"{seconds(self.eta_s)} left")
        return ", ".join(parts)


class ProgressBars:
    """A bar a run while the block runs."""

    def __init__(self, names: Mapping[int, str], *, console: Console | None = None) -> None:
        """Prepare bars for the runs of `names`: id to what stands before the bar."""
        self._console = console or Console(file=sys.stderr)
        self._runs: dict[int, _Watched] = {}
        self._bars: Progress | None = None
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[state]}"),
                console=self._console,
            )
        self.add(names)

    def add(self, names: Mapping[int, str]) -> None:
        """Add bars for more runs."""
        for run_id, name in names.items():
            run = self._runs[run_id] = _Watched(name)
            if self._bars is not None:
                run.task = self._bars.add_task(escape(name), total=1.0, start=False, state=run.text)

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def event(self, run_id: int, kind: str, payload: Mapping[str, Any]) -> None:
        """Take in what a run said."""
        run = self._runs[run_id]
        before = run.status, run.epoch
        if kind == "state":
            run.status = payload["status"]
        elif kind == "rewound":
            run.step = payload["step"]
        elif kind == "run_started":
            run.status = "running"
            run.epochs = payload["epochs"]
            run.steps = payload["epochs"] * payload["steps_per_epoch"]
        elif kind == "progress":
            run.status = "running"
            run.epoch, run.epochs = payload["epoch"], payload["epochs"]
            run.step, run.steps = payload["step"], payload["steps"]
            run.eta_s = payload["eta_s"]
        elif kind == "epoch_finished":
            run.epoch, run.step = payload["epoch"], payload["step"]
            accuracy = payload["val_accuracy"]
            if accuracy is not None:
                run.best = max(accuracy, run.best or 0.0)
        elif kind == "run_finished":
            run.status = "succeeded"
        elif kind == "run_failed":
            run.status = "failed"
        if kind in {"warning", "run_failed"}:
            said = f"{payload['title']}: {payload['detail']} {payload.get('remedy', '')}"
            self._line(f"{run.name}: {said}".rstrip())
        self._show(run, (run.status, run.epoch) != before)

    def _show(self, run: _Watched, notable: bool) -> None:
        if self._bars is not None and run.task is not None:
            if run.status == "running":
                self._bars.start_task(run.task)
            colour = _STATUS_COLOURS.get(run.status)
            text = f"[{colour}]{run.text}[/]" if colour else run.text
            self._bars.update(run.task, completed=run.done, state=text)
            return
        now = time.monotonic()
        if notable or now - run.said_at > _PLAIN_EVERY_S:
            run.said_at = now
            self._line(f"{run.name}: {run.text}")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def watch_runs(client: Client, runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Show the runs' progress until all have ended, and return them."""
    with ProgressBars({run["id"]: run["name"] for run in runs}) as bars:
        ended = client.wait(
            *(run["id"] for run in runs),
            on_event=lambda event: bars.event(event.run_id, event.kind, event.payload),
        )
    _say_failures(ended)
    return ended


def watch_study(client: Client, study_id: int) -> dict[str, Any]:
    """Show the progress of a study's runs until its last step has ended, and return the study."""
    with ProgressBars({}) as bars:
        study = client.wait_study(
            study_id,
            on_runs=lambda runs: bars.add({run["id"]: run["name"] for run in runs}),
            on_event=lambda event: bars.event(event.run_id, event.kind, event.payload),
        )
    _say_failures(study["runs"])
    for step in study["steps"]:
        if step["reason"]:
            say(f"Step {step['name']}: {step['state']}. {step['reason']}")
        for error in step["errors"]:
            say(f"  {error['message']}")
    return study


def went_well(study: Mapping[str, Any]) -> bool:
    """Tell whether all runs of a study succeeded and no step was skipped or failed.

    Trials of a search may be pruned or fail: one that has a value is enough.
    """
    if study["sweep"] is not None and study["sweep"]["search"] is not None:
        return study["sweep"]["search"]["best"] is not None
    return all(run["status"] == "succeeded" for run in study["runs"]) and not any(
        step["reason"] for step in study["steps"]
    )


def _say_failures(ended: Sequence[Mapping[str, Any]]) -> None:
    for run in ended:
        if run["error"]:
            error = run["error"]
            say(
                f"{run['name']} failed: {error['title']}: {error['detail']} "
                f"{error.get('remedy', '')}".rstrip()
            )
