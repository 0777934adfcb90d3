"""How a study's steps and its sweep become what the API and the study's page show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.study_answers import (
    RunValue,
    SearchOut,
    StepOut,
    StepRunOut,
    StepVoteOut,
    SweepOut,
    TrialOut,
)
from store.rows import StepRow, StudyRow, SweepRow, TrialRow
from store.searches import best_trial
from store.sweeps import sweep_of
from trainer.published import Published


def step_outs(study: StudyRow) -> list[StepOut]:
    """Return a study's steps, in order."""
    named = {step.name: step for step in study.steps}
    return [_step(step, named) for step in study.steps]


def sweep_out(row: SweepRow) -> SweepOut:
    """Return the sweep that a study comes from, and how far its search is."""
    search = None
    if row.kind == "search":
        plan, best = sweep_of(row).searching, best_trial(row)
        search = SearchOut(
            state=row.state,
            reason=row.reason,
            budget=plan.trials,
            ended=sum(trial.state != "running" for trial in row.trials),
            metric=plan.metric,
            sampler=plan.sampler,
            pruner=plan.pruner,
            best=None if best is None else _trial(best),
            trials=[_trial(trial) for trial in row.trials],
        )
    return SweepOut(kind=row.kind, fields=row.paths, given=row.sweep, search=search)


def _trial(row: TrialRow) -> TrialOut:
    return TrialOut(
        number=row.number, run=row.run_id, state=row.state, value=row.value, reason=row.reason
    )


def _step(step: StepRow, named: Mapping[str, StepRow]) -> StepOut:
    vote = step.plan.get("vote")
    return StepOut(
        name=step.name,
        after=step.after,
        when_failed=step.when_failed,
        state=step.state,
        reason=step.reason,
        errors=step.errors,
        runs=[_run(step, index) for index in range(len(step.plan.get("runs", ())))],
        vote=None if vote is None else _vote(step, vote, named),
    )


def _run(step: StepRow, index: int) -> StepRunOut:
    planned = step.plan["runs"][index]
    run = step.run_of(index)
    origin = planned["from"] or {}
    choice = next((one for one in step.choices if one["run"] == run), {})
    return StepRunOut(
        name=planned["name"],
        run=run,
        step=origin.get("step"),
        metric=origin.get("metric"),
        rank=origin.get("rank", 1),
        changes=planned["changes"],
        chosen=choice.get("chosen"),
        values=[RunValue(run=run_id, value=value) for run_id, value in choice.get("values", ())],
    )


def _vote(step: StepRow, vote: Mapping[str, Any], named: Mapping[str, StepRow]) -> StepVoteOut:
    names = [
        named[name].plan["runs"][number]["name"] or f"run {number + 1} of {name}"
        for name, number in vote["voters"]
    ]
    said = step.choices[0] if step.choices else {}
    published = said.get("published", vote["published"])
    return StepVoteOut(
        voters=names,
        preferred=names[vote["preferred"]],
        method=vote["method"],
        split=vote["split"],
        voted=said.get("voters", []),
        left_out=said.get("left_out", []),
        result=step.vote,
        published=None if published is None else Published.model_validate(published),
    )
