"""What the API answers: the response models, without a word on where their values come from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from trainer.events import ClassFigures
from trainer.published import Published

RUN_STATUS = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]


class MetricOut(BaseModel):
    """A metric's series in six numbers."""

    last: float | None
    best: float | None = Field(description="Maximum of accuracies, minimum of everything else.")
    best_epoch: int | None = Field(
        description="The first of equally good ones; of the metric that chooses the weights, the "
        "one whose weights were kept."
    )
    minimum: float | None
    maximum: float | None
    points: int


class ProgressOut(BaseModel):
    """How far a running run is."""

    fraction: float = Field(ge=0, le=1, description="Of all steps.")
    phase: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None = None
    learning_rate: float | None = None
    samples_per_s: float | None = None
    elapsed_s: float
    eta_s: float | None = None


class QueueOut(BaseModel):
    """Where a queued run stands."""

    position: int = Field(description="1 is next.")
    ahead: int
    waiting_for: Literal["worker", "dataset"] | None = Field(
        description="worker: no worker that could take it is alive. dataset: still prepared."
    )


class ErrorOut(BaseModel):
    """Why a run or a preparation failed."""

    title: str = ""
    detail: str = ""
    remedy: str = ""


class ContinuesOut(BaseModel):
    """Which run another one continues."""

    run: int
    epoch: int = Field(description="Epochs that were taken over from it.")


class RunOut(BaseModel):
    """A run: its spec, where it stands, and the figures of a leaderboard."""

    id: int
    name: str
    owner: str
    status: RUN_STATUS
    study_id: int | None
    dataset: str
    spec: dict[str, Any]
    note: str
    tags: list[str] = Field(description="In order of the alphabet.")
    pinned: bool = Field(description="Whether it is its dataset's baseline.")
    archived_at: float | None = Field(description="When it was put out of the lists.")
    external: bool
    priority: int
    created_at: float = Field(description="Unix seconds.")
    started_at: float | None
    finished_at: float | None
    attempt: int
    epoch: int = Field(description="Epochs finished.")
    epochs: int
    progress: ProgressOut | None
    parameters_total: int | None
    parameters_trained: int | None
    device: str | None
    metrics: dict[str, MetricOut]
    queue: QueueOut | None
    error: ErrorOut | None
    cancel_requested: bool
    pause_requested: bool = Field(description="It stops at its next checkpoint, within seconds.")
    elapsed_s: float | None = Field(description="Seconds of training, without queueing or gaps.")
    leaks_acknowledged: bool = Field(
        description="Launched though images may be among its training and its validation or test "
        "images."
    )
    published: Published | None = Field(
        description="What a recipe's authors reported of this run; null outside recipes."
    )
    continues: ContinuesOut | None = Field(
        description="The run with whose checkpoint and curves this one begins."
    )
    event_seq: int = Field(description="Number of the run's newest event; a cursor of the stream.")
    url: str = Field(examples=["/runs/1"])


class RunsOut(BaseModel):
    """A page of runs, newest first unless sorted otherwise."""

    runs: list[RunOut]
    table: list[dict[str, Any]] = Field(
        [], description="Of each run, in the same order, the value of every column asked for."
    )
    next_cursor: str | None = Field(description="Send as `cursor` for the next page.")


class EventOut(BaseModel):
    """Something that happened to a run."""

    run: int
    seq: int
    kind: str = Field(examples=["epoch_finished"])
    time: float
    step: int | None
    payload: dict[str, Any]


class EventsOut(BaseModel):
    """Events after a sequence number."""

    events: list[EventOut]
    last_seq: int = Field(description="Send as `after` for what comes next.")
    more: bool = Field(description="Whether there were more than asked for.")


class ReportedOut(BaseModel):
    """What became of reported events."""

    accepted: int
    run: RunOut


class SeriesColumns(BaseModel):
    """A series in columns of equal length; null where a value was not finite."""

    step: list[int]
    epoch: list[float]
    elapsed_s: list[float]
    value: list[float | None]
    points_total: int
    sampled: bool = Field(
        description="Whether points were left out: each bucket's least and greatest are kept."
    )


class SeriesOut(BaseModel):
    """Series of one run."""

    run: int
    series: dict[str, SeriesColumns]
    names: list[str] = Field(description="Every series this run has.")


class LogLine(BaseModel):
    """A line of a run's log."""

    seq: int
    time: float
    level: str
    message: str


class LogOut(BaseModel):
    """The newest lines of a run's log, oldest first."""

    lines: list[LogLine]
    total: int = Field(description="Lines of the whole log, or that hold what was asked for.")


class ResourcesOut(BaseModel):
    """What a run's trainer used, in columns of equal length; null where it was not measured."""

    run: int
    time: list[float] = Field(description="Unix seconds.")
    memory_bytes: list[int]
    cpu_percent: list[float] = Field(description="100 is one core.")
    gpu_memory_bytes: list[int | None]
    gpu_percent: list[float | None]


class EvaluationOut(BaseModel):
    """A split evaluated with the weights of the best epoch."""

    split: str
    epoch: int
    accuracy: float
    top5_accuracy: float | None = Field(
        description="Null where there are five classes or fewer, or nobody told."
    )
    loss: float | None
    macro_precision: float | None = Field(description="Mean over classes that have images.")
    macro_recall: float | None = Field(description="Mean over classes that have images.")
    macro_f1: float | None = Field(description="Mean over classes that have images.")
    calibration_error: float | None = Field(
        description="Expected calibration error over 15 bins of equal width, in [0, 1]."
    )
    samples: int
    samples_fingerprint: str = Field(description="Equal where runs saw the same images.")
    leaked: int = Field(
        0, description="Images that are among the run's training images too, the same or nearly."
    )
    accuracy_without_leaked: float | None = Field(
        None, description="Accuracy on the other images; null where none leaked."
    )
    confusion: list[list[int]] = Field(description="Rows: true class. Columns: predicted class.")
    classes: list[ClassFigures]


class EvaluationsOut(BaseModel):
    """Evaluations of one run."""

    evaluations: list[EvaluationOut]


class JobProgress(BaseModel):
    """How far a job is."""

    what: str = Field(description="What is being done.", examples=["looking at images"])
    done: int
    total: int


class JobOut(BaseModel):
    """A work that a worker does when it is asked for."""

    id: int
    kind: str = Field(description="Such as predict, export, vote, duplicates or preflight.")
    run: int | None = Field(description="The run whose model is used.")
    dataset: str | None = Field(description="The dataset that is looked at.")
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: JobProgress | None = Field(description="As its program said last, while it runs.")
    owner: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    request: dict[str, Any] = Field(description="What was asked for.")
    result: dict[str, Any] | None = Field(description="What came of it, once it has succeeded.")
    error: ErrorOut | None
    file: str | None = Field(
        description="Address of the file it made, once it has succeeded.",
        examples=["/api/v1/jobs/1/file"],
    )
    url: str = Field(examples=["/api/v1/jobs/1"])


class JobsOut(BaseModel):
    """The newest jobs."""

    jobs: list[JobOut]


class SkippedOut(BaseModel):
    """A file that is not part of a dataset, and why."""

    file: str
    reason: str


class DatasetOut(BaseModel):
    """A dataset, and how far its preparation is."""

    name: str
    title: str
    kind: Literal["catalogue", "folder", "upload"]
    source: str
    status: Literal["preparing", "ready", "failed"]
    owner: str
    created_at: float
    progress: dict[str, Any]
    error: ErrorOut | None
    fingerprint: str
    classes: list[str]
    counts: dict[str, list[int]] = Field(description="Images per split and class.")
    splits: dict[str, int] = Field(description="Images per split.")
    samples: int
    skipped: list[SkippedOut]
    skipped_total: int
    misnamed: list[SkippedOut] = Field(description="Used, though their names say another format.")
    misnamed_total: int
    duplicates: dict[str, int] | None = Field(
        description="How many groups of duplicates there are; null where nobody has looked yet."
    )
    note: str
    labelled: bool = Field(description="False: a collection of images without classes.")
    description: str
    former_names: list[str] = Field(description="These still lead to it.")
    measures: dict[str, Any] = Field(
        description="Bytes, most frequent dimensions and a histogram of the shorter sides; empty "
        "where an older version prepared it."
    )
    url: str = Field(examples=["/datasets/digits"])


class CatalogueEntryOut(BaseModel):
    """A dataset that Tuneboard knows how to get."""

    name: str
    title: str
    description: str
    note: str
    classes: int
    splits: dict[str, int] = Field(description="Images per split that it brings.")
    registered: bool = Field(description="Whether it is among the datasets already.")


class DatasetsOut(BaseModel):
    """Datasets, and those that could be added from the catalogue."""

    datasets: list[DatasetOut]
    catalogue: list[CatalogueEntryOut]


class SampleOut(BaseModel):
    """An image of a dataset."""

    path: str
    label: int
    class_name: str = Field(serialization_alias="class")
    split: str
    image: str = Field(description="Address of a small version.")


class SamplesOut(BaseModel):
    """Images of a dataset."""

    samples: list[SampleOut]
    total: int = Field(description="Of this split and class.")


class WorkerOut(BaseModel):
    """A worker process."""

    id: str
    kind: str
    hostname: str
    pid: int
    device: str
    slots: int
    started_at: float
    heartbeat_at: float
    age_s: float = Field(description="Seconds since it was last heard of.")
    draining: bool = Field(description="Takes nothing new, as it says itself.")
    drain_requested: bool = Field(description="Whether somebody asked for that.")
    details: dict[str, Any]


class WorkersOut(BaseModel):
    """Worker processes heard of lately."""

    workers: list[WorkerOut]


class ArchitectureOut(BaseModel):
    """What is known of an architecture."""

    name: str
    input_size_px: int
    parameters: int
    has_default_weights: bool
    fixed_input_size: bool
    weights_package: str | None


class ArchitecturesOut(BaseModel):
    """Architectures whose name matches."""

    architectures: list[ArchitectureOut]
    total: int


class ValidSpecOut(BaseModel):
    """A spec with every default filled in."""

    name: str = Field(description="What the run would be called.")
    spec: dict[str, Any]
    yaml: str
