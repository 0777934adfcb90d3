"""What users ask of runs that are there: pause, resume, another priority, more epochs or seeds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.answers import RunOut
from app.dependencies import BellDep, JsonBody, Owner, RunDep, RunId, SettingsDep, StoreDep
from app.outputs import run_out, run_outs
from app.wishes import continue_run, more_seeds, resume_run
from store.lifecycle import request_pause, set_priority
from trainer.continuing import Schedule

PRIORITY_LIMIT = 1_000
EPOCHS_LIMIT = 10_000  # the spec's
SEEDS_LIMIT = 50  # runs launched at once
SEED_LIMIT = 2**31 - 1  # the spec's

router = APIRouter(prefix="/runs", tags=["runs"])

Priority = Annotated[
    int, Field(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT, description="Higher goes first.")
]


class PriorityIn(BaseModel):
    """Which of the waiting runs goes first."""

    model_config = ConfigDict(extra="forbid")

    priority: Priority


class ContinueIn(BaseModel):
    """How a finished run goes on."""

    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(ge=1, le=EPOCHS_LIMIT, description="Epochs to add to those done.")
    schedule: Schedule | None = Field(
        None,
        description="go_on: the learning rate follows its schedule further, where that has no end. "
        "restart: the schedule begins again over the added epochs; needed where it was planned "
        "over the run's length, as cosine and one_cycle are.",
    )


class SeedsIn(BaseModel):
    """Which repetitions to launch: so many, or these."""

    model_config = ConfigDict(extra="forbid")

    count: int | None = Field(
        None, ge=1, le=SEEDS_LIMIT, description="So many seeds that have not been used."
    )
    seeds: list[Annotated[int, Field(ge=0, le=SEED_LIMIT)]] | None = Field(
        None, min_length=1, max_length=SEEDS_LIMIT, description="These, in place of `count`."
    )

    @model_validator(mode="after")
    def _one_of_the_two(self) -> SeedsIn:
        if (self.count is None) == (self.seeds is None):
            raise PydanticCustomError("tuneboard", "either `count` or `seeds`")
        return self

    @property
    def wanted(self) -> int | list[int]:
        """How many, or which."""
        return self.seeds if self.seeds is not None else self.count or 0


class RepeatedOut(BaseModel):
    """The runs that were launched."""

    runs: list[RunOut]


@router.post("/{run_id}/continue", status_code=201, dependencies=[JsonBody])
def go_on(
    response: Response,
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    run: RunDep,
    wish: ContinueIn,
) -> RunOut:
    """Train a run that has succeeded for more epochs, as a new run.

    The new run takes over the checkpoint and all that was measured, so its curves begin with those
    of the run it continues; that one stays as it is. 409 for a run that cannot be continued.
    """
    made = continue_run(store, settings, bell, run, wish.epochs, wish.schedule, owner=owner)
    response.headers["location"] = f"/api/v1/runs/{made.id}"
    return run_out(store, made)


@router.post("/{run_id}/seeds", status_code=201, dependencies=[JsonBody])
def repeat(
    store: StoreDep,
    settings: SettingsDep,
    bell: BellDep,
    owner: Owner,
    run: RunDep,
    wish: SeedsIn,
) -> RepeatedOut:
    """Launch runs of the same settings with other seeds, to see how much chance decides."""
    made = more_seeds(store, settings, bell, run, wish.wanted, owner=owner)
    return RepeatedOut(runs=run_outs(store, made))


@router.post("/{run_id}/pause")
def pause(store: StoreDep, run_id: RunId) -> RunOut:
    """Pause a run: a queued one at once, a running one once it has written a checkpoint.

    A paused run holds no worker; it goes on from that checkpoint when it is resumed, and ends with
    the metrics of a run that was never paused.
    """
    return run_out(store, request_pause(store, run_id))


@router.post("/{run_id}/resume")
def resume(store: StoreDep, bell: BellDep, run: RunDep) -> RunOut:
    """Queue a paused run again, or take back a pause that has not come about yet."""
    return run_out(store, resume_run(store, bell, run))


@router.post("/{run_id}/priority", dependencies=[JsonBody])
def priority(store: StoreDep, run_id: RunId, wish: PriorityIn) -> RunOut:
    """Let a queued or paused run go sooner or later; 409 once it runs or has ended."""
    return run_out(store, set_priority(store, run_id, wish.priority))
