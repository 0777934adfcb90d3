"""The frozen rows that this package's functions return; each mirrors a table's columns."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, Literal

SEARCHING = ("searching", "stopping")
"""States of a sweep of which more may come; stopping: of trials under way alone."""
TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class RunRow:
    """A training run; times are Unix seconds."""

    id: int
    name: str
    owner: str
    study_id: int | None
    dataset_name: str
    device_wanted: str
    spec: dict[str, Any]
    note: str
    idempotency_key: str | None
    external: bool
    status: str
    priority: int
    place: float | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    cancel_requested: bool
    pause_requested: bool
    attempt: int
    worker_id: str | None
    lease_expires_at: float | None
    crashes: int
    losses: int
    checkpoint_attempt: int | None
    checkpoint_step: int | None
    events_offset: int
    event_seq: int
    epoch: int
    epochs: int
    progress: dict[str, Any]
    started: dict[str, Any]
    finished: dict[str, Any]
    error: dict[str, Any] | None
    published: dict[str, Any] | None
    archived_at: float | None = None
    continues_run: int | None = None
    continues_epoch: int | None = None
    leaks_acknowledged: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended for good."""
        return self.status in TERMINAL_STATUSES


@dataclass(frozen=True)
class AttemptRow:
    """One worker's try at a run."""

    run_id: int
    number: int
    worker_id: str
    started_at: float
    ended_at: float | None
    outcome: str | None
    detail: str


@dataclass(frozen=True)
class EventRow:
    """Something that happened to a run; `seq` grows by time."""

    run_id: int
    seq: int
    kind: str
    time: float
    step: int | None
    payload: dict[str, Any]


@dataclass(frozen=True)
class StepRow:
    """A step of a study; `run_ids` in order of creation."""

    id: int
    study_id: int
    position: int
    name: str
    after: list[str]
    when_failed: str
    plan: dict[str, Any]
    state: str
    reason: str
    errors: list[dict[str, Any]]
    choices: list[dict[str, Any]]
    vote_job_id: int | None
    vote: dict[str, Any] | None
    run_ids: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    """Of each of these runs, which of the step's options it is."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in {"ended", "skipped"}

    def run_of(self, number: int) -> int | None:
        """Return the id of the run that the plan has at that place, from 0; None without one."""
        planned = self.plan["runs"][number]
        options = range(planned["first"], planned["first"] + planned["options"])
        found = (run for run, at in zip(self.run_ids, self.places, strict=True) if at in options)
        return next(found, None)


@dataclass(frozen=True)
class TrialRow:
    """A trial of a search; `drawn` holds for each field the place of a value, or a number."""

    study_id: int
    number: int
    run_id: int | None
    drawn: list[float]
    state: str
    value: float | None
    judged_epoch: int
    reason: str


@dataclass(frozen=True)
class SweepRow:
    """The sweep that a study's runs come from; `trials` are those of a search."""

    study_id: int
    kind: str
    sweep: dict[str, Any]
    paths: list[str]
    owner: str
    priority: int
    state: str
    reason: str
    trials: tuple[TrialRow, ...] = ()


@dataclass(frozen=True)
class StudyRow:
    """Runs launched together; `counts` is by status, `run_ids` in order of creation."""

    id: int
    name: str
    owner: str
    note: str
    created_at: float
    stopped_at: float | None = None
    ended_at: float | None = None
    webhook_url: str = ""
    webhook_secret: str = field(default="", repr=False)
    webhook_runs_since: float | None = None
    leaks_acknowledged: bool = False
    idempotency_key: str | None = None
    request_digest: str | None = None
    run_ids: tuple[int, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    steps: tuple[StepRow, ...] = ()
    """Empty where its runs were all launched at once."""
    sweep: SweepRow | None = None
    """None where its runs were given one by one."""

    @property
    def is_over(self) -> bool:
        """Whether all of its runs have ended and no more will be launched."""
        if self.sweep is not None and self.sweep.state in SEARCHING:
            return False
        return self.counts.keys() <= TERMINAL_STATUSES and all(step.is_over for step in self.steps)


@dataclass(frozen=True)
class DeliveryRow:
    """Something told, or to be told, to a study's webhook."""

    id: int
    study_id: int
    run_id: int | None
    key: str | None
    event: str
    url: str
    payload: dict[str, Any]
    state: str
    created_at: float
    due_at: float
    lease_expires_at: float | None
    tries: int
    outcomes: list[dict[str, Any]]
    finished_at: float | None


@dataclass(frozen=True)
class DatasetRow:
    """A dataset and how far its preparation is."""

    id: int
    name: str
    title: str
    kind: str
    source: str
    status: str
    owner: str
    created_at: float
    progress: dict[str, Any]
    lease_expires_at: float | None
    error: dict[str, Any] | None
    fingerprint: str
    summary: dict[str, Any]
    labelled: bool
    description: str
    former_names: list[str]


@dataclass(frozen=True)
class WorkerRow:
    """A worker process; `heartbeat_at` is when it was last heard of."""

    id: str
    kind: str
    hostname: str
    pid: int
    device: str
    slots: int
    started_at: float
    heartbeat_at: float = 0.0
    draining: bool = False
    drain_requested: bool = False
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationRow:
    """A split evaluated with the weights of a run's best epoch."""

    run_id: int
    split: str
    epoch: int
    accuracy: float
    loss: float | None
    samples: int
    samples_fingerprint: str
    confusion: list[list[int]]
    classes: list[dict[str, Any]]
    predictions_file: str
    top5_accuracy: float | None = None
    macro_precision: float | None = None
    macro_recall: float | None = None
    macro_f1: float | None = None
    calibration_error: float | None = None
    """Of 15 bins."""


@dataclass(frozen=True)
class ComparisonRow:
    """A saved view of the Compare page."""

    id: int
    name: str
    note: str
    owner: str
    query: str
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class ViewRow:
    """A saved view of the Runs page."""

    id: int
    name: str
    owner: str
    query: str
    created_at: float


@dataclass(frozen=True)
class JobRow:
    """A work that a worker does when it is asked for."""

    id: int
    kind: str
    hand: str
    device_wanted: str
    run_id: int | None
    dataset_id: int | None
    owner: str
    state: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    lease_expires_at: float | None
    tries: int
    progress: dict[str, Any]
    payload: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state in {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True)
class SummaryRow:
    """What a leaderboard shows of a series; `best` is the maximum of accuracies, else minimum."""

    run_id: int
    name: str
    points: int
    last: float | None
    best: float | None
    best_epoch: int | None
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True)
class SeriesPoints:
    """A whole series in columns of equal length, in the order the points were reported."""

    steps: array[int] = field(default_factory=lambda: array("i"))
    epochs: array[float] = field(default_factory=lambda: array("f"))
    """A step's place within its epoch is the fraction."""
    elapsed: array[float] = field(default_factory=lambda: array("f"))
    """Seconds of training."""
    values: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class QueuePlace:
    """Where a queued run stands."""

    position: int
    """1 is next."""
    ahead: int
    waiting_for: Literal["worker", "dataset"] | None
    """None: only for its turn."""
