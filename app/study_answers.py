"""What the API answers about studies, their steps, and recipes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.answers import RunOut
from trainer.published import Published, Reported


class RunValue(BaseModel):
    """What a run was chosen or passed over by."""

    run: int
    value: float


class StepRunOut(BaseModel):
    """A run of a step, launched or yet to be."""

    name: str = Field(description="Empty where that depends on what is chosen.")
    run: int | None = Field(description="Its number; null until it is launched.")
    step: str | None = Field(description="The step whose best run's spec it begins with.")
    metric: str | None = Field(description="By which that is chosen.")
    rank: int = Field(1, description="1: the best is chosen; 2: the next.")
    changes: list[str] = Field(description="What it changes of that spec.")
    chosen: int | None = Field(description="The run that was chosen.")
    values: list[RunValue] = Field(description="Of the runs that it was chosen from.")


class StepVoteOut(BaseModel):
    """A vote of runs of earlier steps."""

    voters: list[str] = Field(description="Runs that are to vote: names, or step and number.")
    preferred: str = Field(description="Decides ties of a majority.")
    method: Literal["majority", "mean"]
    split: Literal["val", "test"]
    voted: list[int] = Field(description="Runs that did vote.")
    left_out: list[int] = Field(description="Runs that could not, having failed.")
    result: dict[str, Any] | None = Field(description="Accuracy, confusion matrix and members.")
    published: Published | None


class StepOut(BaseModel):
    """A step of a study."""

    name: str
    after: list[str] = Field(description="Steps that it waits for.")
    when_failed: Literal["continue", "stop"]
    state: Literal["waiting", "running", "ended", "skipped"]
    reason: str = Field(description="Why it was skipped, or how its vote failed.")
    errors: list[dict[str, Any]] = Field(description="Fields of a run that was refused at last.")
    runs: list[StepRunOut]
    vote: StepVoteOut | None


class TrialOut(BaseModel):
    """A trial of a search."""

    number: int
    run: int | None = Field(description="Null where its values did not go together.")
    state: Literal["running", "complete", "pruned", "failed"]
    value: float | None = Field(description="Of the search's metric, once it has ended.")
    reason: str = Field(description="Why it was pruned or failed.")


class SearchOut(BaseModel):
    """How far a search is."""

    state: Literal["searching", "stopping", "ended"]
    reason: str = Field(description="Why it ended before its budget.")
    budget: int = Field(description="Trials, all together.")
    ended: int = Field(description="Trials that have ended.")
    metric: str
    sampler: str
    pruner: str
    best: TrialOut | None = Field(description="Null until a trial has a value.")
    trials: list[TrialOut]


class SweepOut(BaseModel):
    """The sweep that a study's runs come from."""

    kind: Literal["grid", "random", "search", "ladder"]
    fields: list[str] = Field(description="Paths of the fields in which its runs differ.")
    given: dict[str, Any] = Field(description="The sweep as it was launched.")
    search: SearchOut | None = Field(description="Null where all runs were known at launch.")


class LaunchPreviewOut(BaseModel):
    """What a sweep would launch."""

    name: str = Field(description="Of the study.")
    kind: Literal["grid", "random", "search", "ladder"]
    runs_total: int = Field(description="Of a search, at most.")
    summary: str = Field(examples=["12 runs: 3 × 2 × 2 seeds."])
    fields: list[str] = Field(description="Paths of the fields in which its runs differ.")
    names: list[str] = Field(description="Of the runs known before; of a ladder, its probes.")


class BestOut(BaseModel):
    """The run of a study with the best accuracy on the validation images."""

    run: int
    name: str
    best_val_accuracy: float


class StudyOut(BaseModel):
    """Runs launched together, or step by step."""

    id: int
    name: str
    owner: str
    note: str
    created_at: float
    counts: dict[str, int] = Field(description="Runs by status.")
    is_over: bool = Field(description="Whether all runs have ended and no more will be launched.")
    stopped_at: float | None = Field(description="When somebody stopped it.")
    ended_at: float | None = Field(description="When its last run had ended.")
    best: BestOut | None = Field(description="Its best run so far.")
    webhook: str = Field(description="Told when the study ends; empty: nobody is.")
    runs: list[RunOut] = Field(description="In order of creation; left empty in lists.")
    steps: list[StepOut] = Field(description="Empty where all runs were launched at once.")
    sweep: SweepOut | None = Field(description="Null where the runs were given one by one.")
    url: str = Field(examples=["/studies/1"])


class StudiesOut(BaseModel):
    """A page of studies, newest first."""

    studies: list[StudyOut]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page.")


class SeedsOut(BaseModel):
    """What came of asking for more seeds."""

    added: int = Field(description="Runs.")
    study: StudyOut


class DeliveryOut(BaseModel):
    """Something told to a webhook, and what came of each try."""

    id: int
    event: Literal["study.ended", "run.ended", "test"]
    run: int | None
    state: Literal["queued", "sending", "delivered", "failed"]
    created_at: float
    due_at: float = Field(description="Not tried before.")
    finished_at: float | None
    outcomes: list[dict[str, Any]] = Field(description="Of each try: at, status, error, seconds.")


class WebhookOut(BaseModel):
    """Who is told of a study, and the newest deliveries first."""

    url: str = Field(description="Empty: nobody is told.")
    each_run: bool
    secret: str = Field(description="Signs what is told, as X-Tuneboard-Signature.")
    deliveries: list[DeliveryOut]


class RecipeRunOut(BaseModel):
    """A run of a recipe, as its authors did it."""

    name: str = Field(description="Empty where that depends on what is chosen.")
    step: str = Field(description="Empty in a recipe without steps.")
    begins_with: str = Field(description="The run whose spec it begins with; empty: none.")
    spec: dict[str, Any] = Field(description="What it changes, if it begins with another's.")
    reported: list[Reported]
    substitutable: bool = Field(
        description="Whether another network can stand in for one whose weights are downloaded."
    )


class RecipeStepOut(BaseModel):
    """A step of a recipe."""

    name: str
    after: list[str]
    when_failed: Literal["continue", "stop"]
    voters: list[str] = Field(description="Runs that vote; empty for a step of runs.")
    reported: list[Reported] = Field(description="Of the vote.")


class RecipeOut(BaseModel):
    """A published study, ready to launch."""

    name: str = Field(examples=["s1-ants-and-bees"])
    title: str
    note: str
    dataset: str | None = Field(description="Used unless another is asked for.")
    study_data: str = Field(description="What the study's data were, where they cannot be had.")
    runs_total: int
    runs: list[RecipeRunOut] = Field(description="Left empty in lists.")
    steps: list[RecipeStepOut] = Field(description="Empty where all runs are launched at once.")


class RecipesOut(BaseModel):
    """All recipes."""

    recipes: list[RecipeOut]
