"""The tables; those of studies are in `store.study_tables`.

Times are Unix seconds of the database's clock; JSON columns hold plain data. Only this package
names the tables; everyone else gets frozen rows from its functions.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Index,
    LargeBinary,
    Table,
    UniqueConstraint,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from store import study_tables  # noqa: F401 - runs belong to studies
from store.columns import PlainText


class Dataset(SQLModel, table=True):
    """A set of images, and how far its preparation is."""

    __tablename__ = "datasets"
    __table_args__ = ({"sqlite_autoincrement": True},)  # ids name folders: never the same twice

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True, index=True, sa_type=PlainText)
    title: str = Field(default="", sa_type=PlainText)
    kind: str
    """catalogue, folder or upload."""
    source: str = Field(sa_type=PlainText)
    """Catalogue name, server folder, or the uploaded file's name."""
    status: str = Field(index=True)
    """preparing, ready or failed."""
    owner: str = Field(sa_type=PlainText)
    created_at: float
    progress: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    lease_expires_at: float | None = None
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    fingerprint: str = ""
    summary: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Classes, counts per split and class, skipped files, note; empty until ready."""
    labelled: bool = True
    """False for a collection: images without classes, to be classified by trained runs."""
    description: str = Field(default="", sa_type=PlainText)
    former_names: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """What it was called before, oldest first; specs and addresses may still say so."""


class Run(SQLModel, table=True):
    """One training run; its state moves only through `store.lifecycle`."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_queue", "status", text("priority DESC"), text("coalesce(place, id)"), "id"),
        Index("ix_runs_shown", "archived_at", "status"),
        Index("ix_runs_finished_at", "finished_at"),
        UniqueConstraint("owner", "idempotency_key", name="uq_runs_idempotency"),
        {"sqlite_autoincrement": True},  # ids name folders: never the same twice
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_type=PlainText)
    owner: str = Field(sa_type=PlainText)
    study_id: int | None = Field(default=None, foreign_key="studies.id", index=True)
    dataset_name: str = Field(index=True, sa_type=PlainText)
    device_wanted: str
    """The spec's training.device, beside it so that a claim need not read specs."""
    spec: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    note: str = Field(default="", sa_type=PlainText)
    idempotency_key: str | None = Field(default=None, sa_type=PlainText)
    """Chosen by the sender; one run per owner and key."""
    external: bool = False
    """Reported by a script outside Tuneboard; never claimed by a worker."""

    status: str
    priority: int = 0
    place: float | None = None
    """Among waiting runs of its priority, lowest first; None: its id. See `store.queue`."""
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    cancel_requested: bool = False
    pause_requested: bool = False
    """Its supervisor is asked to stop it at a checkpoint; cleared when it is paused."""

    attempt: int = 0
    worker_id: str | None = None
    lease_expires_at: float | None = None
    crashes: int = 0
    """Trainer crashes since the last checkpoint."""
    losses: int = 0
    """Attempts that ended because their worker or machine went away."""
    checkpoint_attempt: int | None = None
    """The attempt whose folder holds the newest registered checkpoint."""
    checkpoint_step: int | None = None
    events_offset: int = Field(default=0, sa_type=BigInteger)
    """Bytes of this attempt's events.jsonl that are in the database."""
    event_seq: int = 0
    """Number of the newest row in `run_events`; rows may be gone, numbers never come again."""

    epoch: int = 0
    """Epochs finished."""
    epochs: int
    progress: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """The newest progress event."""
    started: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """The newest run_started event: device, versions, parameters, resolved choices."""
    finished: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """The run_finished event."""
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """title, detail and remedy of a failure."""
    published: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True))
    )
    """`trainer.published.Published`: what a recipe's authors reported of this run."""
    archived_at: float | None = None
    """When it was put out of the lists; None while it is shown."""
    continues_run: int | None = Field(default=None, index=True)
    """The run whose last checkpoint and events this one begins with. No foreign key: that run may
    be deleted once this one has checkpoints of its own."""
    continues_epoch: int | None = None
    """How many epochs it takes over."""
    leaks_acknowledged: bool = False
    """Launched though images may be among its training images and those it is judged by."""


class Attempt(SQLModel, table=True):
    """One worker's try at a run, and how it ended."""

    __tablename__ = "attempts"

    run_id: int = Field(primary_key=True, foreign_key="runs.id")
    number: int = Field(primary_key=True)
    worker_id: str
    started_at: float
    ended_at: float | None = None
    outcome: str | None = None
    """succeeded, failed, cancelled, paused, handed_back, crashed or lost."""
    detail: str = Field(default="", sa_type=PlainText)


class RunEvent(SQLModel, table=True):
    """What live pages and the log are told, numbered per run under the lock of its row."""

    __tablename__ = "run_events"

    run_id: int = Field(primary_key=True, foreign_key="runs.id")
    seq: int = Field(primary_key=True)
    kind: str
    time: float
    step: int | None = None
    """Training step the run had reached; None for the store's own events."""
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class SeriesChunk(SQLModel, table=True):
    """Consecutive points of one series, packed little-endian; all but the last are full."""

    __tablename__ = "series_chunks"

    run_id: int = Field(primary_key=True, foreign_key="runs.id")
    name: str = Field(primary_key=True)
    chunk: int = Field(primary_key=True)
    points: int
    first_step: int
    last_step: int
    steps: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """int32."""
    epochs: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """float32; a step's place within its epoch is the fraction."""
    elapsed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """float32 seconds."""
    values: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """float64; NaN where the value was."""


class MetricSummary(SQLModel, table=True):
    """What the leaderboard needs of a series."""

    __tablename__ = "metric_summaries"
    __table_args__ = (Index("ix_metric_summaries_best", "name", "best"),)

    run_id: int = Field(primary_key=True, foreign_key="runs.id")
    name: str = Field(primary_key=True)
    points: int
    last: float | None = None
    best: float | None = None
    """Maximum of accuracies, minimum of everything else."""
    best_epoch: int | None = None
    minimum: float | None = None
    maximum: float | None = None


class SpecField(SQLModel, table=True):
    """One field of a run's spec, to filter and group by."""

    __tablename__ = "spec_fields"
    __table_args__ = (
        Index("ix_spec_fields_number", "path", "number"),
        Index("ix_spec_fields_text", "path", "text"),
    )

    run_id: int = Field(primary_key=True, foreign_key="runs.id")
    path: str = Field(primary_key=True)
    text: str = Field(sa_type=PlainText)
    number: float | None = None


class Evaluation(SQLModel, table=True):
    """A split evaluated with the run's best weights."""

    __tablename__ = "evaluations"

    run_id: int = Field(primary_key=True, foreign_key="runs.id")
    split: str = Field(primary_key=True)
    epoch: int
    accuracy: float
    loss: float | None
    """None where it was not finite."""
    samples: int
    samples_fingerprint: str
    confusion: list[list[int]] = Field(sa_column=Column(JSON, nullable=False))
    classes: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    predictions_file: str = Field(sa_type=PlainText)
    """Path below the run's folder."""
    top5_accuracy: float | None = None
    """None where it has no meaning, or the run's trainer did not tell; so the next four."""
    macro_precision: float | None = None
    macro_recall: float | None = None
    macro_f1: float | None = None
    calibration_error: float | None = None


class Job(SQLModel, table=True):
    """A work that a worker does when it is asked for; see `store.jobs`."""

    __tablename__ = "jobs"
    __table_args__ = ({"sqlite_autoincrement": True},)  # ids name folders: never the same twice

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    """One of `store.jobs.KINDS`."""
    hand: str
    """Who does it, of `store.jobs.HANDS`."""
    device_wanted: str = "auto"
    """auto, cpu or cuda; asked for by the hand that trains."""
    run_id: int | None = Field(default=None, foreign_key="runs.id")
    """The run whose model is used; None for a vote, which names its runs in the payload."""
    dataset_id: int | None = None
    """The dataset that is looked at. No foreign key: jobs outlive their dataset."""
    owner: str = Field(sa_type=PlainText)
    state: str = Field(index=True)
    """queued, running, succeeded, failed or cancelled."""
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    lease_expires_at: float | None = None
    tries: int = 0
    progress: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """what, done and total, as its program said last; empty before that."""
    payload: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """What was asked for."""
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """title, detail, remedy and field errors."""


class Comparison(SQLModel, table=True):
    """A saved view of the Compare page."""

    __tablename__ = "comparisons"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_type=PlainText)
    note: str = Field(default="", sa_type=PlainText)
    owner: str = Field(sa_type=PlainText)
    query: str = Field(sa_type=PlainText)
    """The page's address after the question mark: the runs and everything chosen."""
    created_at: float
    updated_at: float


class RunTag(SQLModel, table=True):
    """A word that somebody has put on a run."""

    __tablename__ = "run_tags"
    __table_args__ = (Index("ix_run_tags_tag", "tag"),)

    run_id: int = Field(primary_key=True, foreign_key="runs.id")
    tag: str = Field(primary_key=True, sa_type=PlainText)


class Baseline(SQLModel, table=True):
    """The run that a dataset's others are held against."""

    __tablename__ = "baselines"

    dataset_name: str = Field(primary_key=True, sa_type=PlainText)
    run_id: int = Field(foreign_key="runs.id", index=True)


class View(SQLModel, table=True):
    """A saved view of the Runs page."""

    __tablename__ = "views"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_type=PlainText)
    owner: str = Field(sa_type=PlainText)
    query: str = Field(sa_type=PlainText)
    """The page's address after the question mark."""
    created_at: float


class Leftover(SQLModel, table=True):
    """A folder whose rows are gone, until it is gone as well."""

    __tablename__ = "leftovers"

    path: str = Field(primary_key=True, sa_type=PlainText)
    """Below the data directory, such as `runs/12`."""


class Worker(SQLModel, table=True):
    """A worker process that has been heard of."""

    __tablename__ = "workers"

    id: str = Field(primary_key=True)
    kind: str
    """train or interactive."""
    hostname: str
    pid: int
    device: str
    slots: int
    started_at: float
    heartbeat_at: float = Field(index=True)
    draining: bool = False
    """Takes no more work; written by the worker itself."""
    drain_requested: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Somebody asked for that; written by everybody but the worker."""
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Processor, memory and versions."""


DATASETS: Table = SQLModel.metadata.tables["datasets"]
RUNS: Table = SQLModel.metadata.tables["runs"]
ATTEMPTS: Table = SQLModel.metadata.tables["attempts"]
RUN_EVENTS: Table = SQLModel.metadata.tables["run_events"]
SERIES_CHUNKS: Table = SQLModel.metadata.tables["series_chunks"]
METRIC_SUMMARIES: Table = SQLModel.metadata.tables["metric_summaries"]
SPEC_FIELDS: Table = SQLModel.metadata.tables["spec_fields"]
EVALUATIONS: Table = SQLModel.metadata.tables["evaluations"]
JOBS: Table = SQLModel.metadata.tables["jobs"]
COMPARISONS: Table = SQLModel.metadata.tables["comparisons"]
RUN_TAGS: Table = SQLModel.metadata.tables["run_tags"]
BASELINES: Table = SQLModel.metadata.tables["baselines"]
VIEWS: Table = SQLModel.metadata.tables["views"]
LEFTOVERS: Table = SQLModel.metadata.tables["leftovers"]
WORKERS: Table = SQLModel.metadata.tables["workers"]
