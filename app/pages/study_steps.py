"""The steps of a study: what each waits for, what was chosen, what failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path

from app.steps import step_outs
from app.study_answers import StepOut, StepRunOut, StepVoteOut
from store.database import Store
from store.rows import RunRow, StudyRow
from store.runs import runs_by_ids
from store.values import ID_LIMIT
from trainer.steps import BestOf

CHIPS = {"waiting": "queued", "running": "running", "ended": "succeeded", "skipped": "warning"}
SPLITS = {"val": "validation", "test": "test"}

StudyId = Annotated[int, Path(ge=1, le=ID_LIMIT)]


@dataclass(frozen=True)
class ValueView:
    """A run that could have been chosen, and its value."""

    run: int
    text: str
    is_chosen: bool


@dataclass(frozen=True)
class StepRunView:
    """A run of a step, launched or yet to be."""

    number: int | None
    name: str
    status: str
    origin: str
    """What it begins with and changes; empty where it begins with no other run."""
    values: tuple[ValueView, ...]


@dataclass(frozen=True)
class VoteView:
    """A vote of runs."""

    what: str
    result: str
    members: tuple[str, ...]
    reported: tuple[str, ...]


@dataclass(frozen=True)
class StepView:
    """A step as the page shows it."""

    name: str
    state: str
    chip: str
    waits: str
    failing: str
    reason: str
    errors: tuple[str, ...]
    runs: tuple[StepRunView, ...]
    vote: VoteView | None


def step_views(store: Store, found: StudyRow) -> tuple[StepView, ...]:
    """Return a study's steps as its page shows them."""
    if not found.steps:
        return ()
    runs = {run.id: run for run in runs_by_ids(store, found.run_ids)}
    return tuple(_step(step, runs) for step in step_outs(found))


def _step(step: StepOut, runs: Mapping[int, RunRow]) -> StepView:
    trouble = [
        f"run {row.id} {'was cancelled' if row.status == 'cancelled' else row.status}"
        for row in (runs[run.run] for run in step.runs if run.run is not None)
        if row.status in {"failed", "cancelled"}
    ]
    if step.vote is not None and step.state == "ended" and step.vote.result is None:
        trouble.append("its vote failed")
    waits = f"Waits for {', '.join(step.after)}." if step.after else "Waits for no other step."
    return StepView(
        name=step.name,
        state=step.state,
        chip="warning" if step.state == "ended" and trouble else CHIPS[step.state],
        waits=waits,
        failing=_failing(step, trouble),
        reason=step.reason,
        errors=tuple(error["message"] for error in step.errors),
        runs=tuple(_run(run, runs) for run in step.runs),
        vote=None if step.vote is None else _vote(step.vote),
    )


def _failing(step: StepOut, trouble: list[str]) -> str:
    """Return what happens if something fails, or what happened when it did."""
    stops = step.when_failed == "stop"
    if trouble:
        then = "it says to stop then" if stops else "later steps go on with what succeeded"
        return f"In this step, {', '.join(trouble)}; {then}."
    if step.state in {"ended", "skipped"}:
        return ""
    what = "its vote fails" if step.vote else "one of its runs fails or is cancelled"
    then = "the steps that wait for it are skipped" if stops else "later steps go on without it"
    return f"If {what}, {then}."


def _run(run: StepRunOut, runs: Mapping[int, RunRow]) -> StepRunView:
    row = None if run.run is None else runs[run.run]
    origin = ""
    if run.step is not None and run.metric is not None:
        origin = f"Begins with the spec of {BestOf(run.step, run.metric, run.rank).words()}"
        if run.chosen is not None:
            value = next(one.value for one in run.values if one.run == run.chosen)
            origin += f": run {run.chosen}, {runs[run.chosen].name}, {_number(run.metric, value)}"
        origin += f". Changes {'; '.join(run.changes)}." if run.changes else ". Changes nothing."
    return StepRunView(
        number=run.run,
        name=row.name if row else run.name,
        status=row.status if row else "",
        origin=origin,
        values=tuple(
            ValueView(one.run, _number(run.metric or "", one.value), one.run == run.chosen)
            for one in run.values
        ),
    )


def _vote(vote: StepVoteOut) -> VoteView:
    how = f"ties to {vote.preferred}" if vote.method == "majority" else "of mean probabilities"
    kind = "Majority vote" if vote.method == "majority" else "Vote"
    what = f"{kind} of {', '.join(vote.voters)} on the {SPLITS[vote.split]} images, {how}."
    if vote.left_out:
        what += f" Left out, as they did not succeed: {_numbers(vote.left_out)}."
    result = ""
    members: tuple[str, ...] = ()
    if vote.result is not None:
        result = f"Accuracy {vote.result['accuracy']:.2%} on {vote.result['samples']} images"
        members = tuple(
            f"Run {one['run']} alone: {one['accuracy']:.2%}" for one in vote.result["members"]
        )
    reported = () if vote.published is None else vote.published.lines()
    return VoteView(what, result, members, reported)


def _number(metric: str, value: float) -> str:
    return f"{value:.2%}" if metric.endswith("accuracy") else f"{value:.4g}"


def _numbers(run_ids: list[int]) -> str:
    return ", ".join(f"run {run_id}" for run_id in run_ids)
