"""The tables of studies: their steps, sweeps, trials, and what their webhooks are told.

Times and JSON as in `store.tables`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, Index, Table, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import PlainText


class Study(SQLModel, table=True):
    """Runs launched together."""

    __tablename__ = "studies"
    __table_args__ = (Index("uq_studies_idempotency", "owner", "idempotency_key", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_type=PlainText)
    owner: str = Field(sa_type=PlainText)
    note: str = Field(default="", sa_type=PlainText)
    created_at: float
    leaks_acknowledged: bool = False
    """Its runs are launched though images may leak, those that come later too."""
    stopped_at: float | None = None
    """When somebody stopped it: none of its waiting runs or steps begins any more."""
    ended_at: float | None = Field(default=None, index=True)
    """When its last run had ended; None while there is more to come."""
    webhook_url: str = Field(default="", sa_type=PlainText, sa_column_kwargs={"server_default": ""})
    """Told when it ends; empty: nobody is."""
    webhook_secret: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Signs what is told."""
    webhook_runs_since: float | None = None
    """Runs that end from then on are told of too; None: only the study's end is."""
    idempotency_key: str | None = Field(default=None, sa_type=PlainText)
    """Chosen by the sender; one study per owner and key."""
    request_digest: str | None = None
    """Of what was asked for under that key."""


class Delivery(SQLModel, table=True):
    """Something to tell a study's webhook, and what came of it; see `store.deliveries`."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_due", "state", "due_at"),
        {"sqlite_autoincrement": True},  # receivers tell repetitions by the id
    )

    id: int | None = Field(default=None, primary_key=True)
    study_id: int = Field(foreign_key="studies.id", index=True)
    run_id: int | None = None
    """No foreign key: a run may be deleted after it was told of."""
    key: str | None = Field(default=None, unique=True)
    """What must be told once: `run:5`; None where the caller has other means."""
    event: str
    """study.ended, run.ended or test."""
    url: str = Field(sa_type=PlainText)
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    state: str
    """queued, sending, delivered or failed."""
    created_at: float
    due_at: float
    """Not tried before."""
    lease_expires_at: float | None = None
    tries: int = 0
    outcomes: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False)
    )
    """Of each try: at, status or error, seconds."""
    finished_at: float | None = None


class StudyStep(SQLModel, table=True):
    """A step of a study: runs or a vote, and how far it is; see `store.steps`."""

    __tablename__ = "study_steps"
    __table_args__ = (UniqueConstraint("study_id", "position", name="uq_study_steps_position"),)

    id: int | None = Field(default=None, primary_key=True)
    study_id: int = Field(foreign_key="studies.id")
    position: int
    """From 0, in the order of the study's file."""
    name: str = Field(sa_type=PlainText)
    after: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """Names of the steps that it waits for."""
    when_failed: str
    """continue or stop."""
    owner: str = Field(sa_type=PlainText)
    priority: int
    plan: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """The runs' names, what each begins with and where its options are; or the vote."""
    options: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    """Every run that it may launch: spec, published, and the option that it begins with."""
    state: str = Field(index=True)
    """waiting, running, ended or skipped."""
    reason: str = Field(default="", sa_type=PlainText)
    """Why it was skipped, or how its vote failed."""
    errors: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False)
    )
    """Field errors of a run that could not be launched."""
    choices: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSON, nullable=False)
    )
    """Of each run that begins with another's spec: which was chosen, and by which values."""
    vote_job_id: int | None = None
    """No foreign key: jobs are forgotten after a day."""
    vote: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """What came of the vote."""


class StepRun(SQLModel, table=True):
    """Which step a run belongs to."""

    __tablename__ = "step_runs"

    run_id: int = Field(primary_key=True, foreign_key="runs.id")
    step_id: int = Field(foreign_key="study_steps.id", index=True)
    place: int
    """Which of the step's options it is."""


class StudySweep(SQLModel, table=True):
    """The sweep that a study's runs come from; see `store.sweeps` and `store.searches`."""

    __tablename__ = "sweeps"

    study_id: int = Field(primary_key=True, foreign_key="studies.id")
    kind: str = Field(index=True)
    """grid, random, ladder or search."""
    sweep: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """`trainer.sweeps.file.Sweep` as JSON."""
    paths: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """The fields in which the runs differ."""
    owner: str = Field(sa_type=PlainText)
    priority: int
    state: str = Field(index=True)
    """launched (all that will be is); of a search searching, stopping (no trial more), ended."""
    reason: str = Field(default="", sa_type=PlainText)
    """Why a search ended before its budget."""


class Trial(SQLModel, table=True):
    """A trial of a search: the values that were drawn for it, and what came of them."""

    __tablename__ = "trials"

    study_id: int = Field(primary_key=True, foreign_key="sweeps.study_id")
    number: int = Field(primary_key=True)
    """From 1."""
    run_id: int | None = Field(default=None, index=True)
    """None where the values did not go together. No foreign key: a trial outlives its run."""
    drawn: list[float] = Field(sa_column=Column(JSON, nullable=False))
    """For each field of the space the place of a value, or a number."""
    state: str
    """running, complete, pruned or failed."""
    value: float | None = None
    """Of the search's metric, once it has ended."""
    judged_epoch: int = 0
    """Up to which epoch the pruner has seen it."""
    reason: str = Field(default="", sa_type=PlainText)
    """Why it was pruned or failed."""


STUDIES: Table = SQLModel.metadata.tables["studies"]
DELIVERIES: Table = SQLModel.metadata.tables["deliveries"]
STUDY_STEPS: Table = SQLModel.metadata.tables["study_steps"]
STEP_RUNS: Table = SQLModel.metadata.tables["step_runs"]
SWEEPS: Table = SQLModel.metadata.tables["sweeps"]
TRIALS: Table = SQLModel.metadata.tables["trials"]
