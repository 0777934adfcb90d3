"""What is chosen out of a step that has ended: its best run, or the runs that vote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from store.rows import EvaluationRow, StepRow
from store.states import Status
from store.tables import EVALUATIONS, METRIC_SUMMARIES, RUNS
from store.votes import check_same_images
from trainer.errors import Conflict
from trainer.published import DIFFERENCES_LIMIT, Published
from trainer.steps import MEASURES, BestOf, Measure

VOTES_FILE = "votes.csv"


class Skip(Exception):
    """There is nothing to choose from; says why."""


class NoneLeft(Skip):
    """There are fewer to choose from than the rank that was asked for."""


def choose(
    conn: Connection, origin: BestOf, step: StepRow, statuses: Mapping[int, str]
) -> dict[str, Any]:
    """Return the run of that rank in a step that has ended, and the values of all that have one.

    Of runs with the same value the earlier is the better.

    Raises:
        Skip: If no run succeeded, or none has such a value.
        NoneLeft: If fewer have one than the rank says.
    """
    succeeded = [run_id for run_id in step.run_ids if statuses[run_id] == Status.SUCCEEDED]
    if not succeeded:
        raise Skip(_none_succeeded(step))
    measure = MEASURES[origin.metric]
    values = values_of(conn, measure, succeeded)
    if not values:
        raise Skip(
            f"No run of step {step.name} that succeeded has a value of {origin.metric}"
            f" ({measure.words})."
        )
    sign = -1 if measure.highest else 1
    ranked = sorted(values, key=lambda run_id: (sign * values[run_id], run_id))
    if origin.rank > len(ranked):
        raise NoneLeft(
            f"Only {len(ranked)} runs of step {step.name} have a value of {origin.metric}."
        )
    found = ranked[origin.rank - 1]
    return {"chosen": found, "value": values[found], "values": sorted(values.items())}


def cast_votes(
    conn: Connection,
    wanted: Mapping[str, Any],
    voters: Sequence[int | None],
    statuses: Mapping[int, str],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the vote's job, and who votes and how far the result compares with a reported one.

    Args:
        wanted: A `trainer.steps.PlannedVote` as JSON.
        voters: The runs that it names; None for one that was never launched.

    Raises:
        Skip: If fewer than two runs can vote, or not on the same images.
    """
    launched = [run_id for run_id in voters if run_id is not None]
    voting = [run_id for run_id in launched if statuses[run_id] == Status.SUCCEEDED]
    if len(voting) < 2:
        raise Skip(f"Only {len(voting)} of the {len(voters)} runs that were to vote succeeded.")
    rows = conn.execute(
        select(EVALUATIONS).where(
            EVALUATIONS.c.run_id.in_(voting), EVALUATIONS.c.split == wanted["split"]
        )
    )
    evaluations = [EvaluationRow(**row._mapping) for row in rows]
    try:
        check_same_images(evaluations, voting, wanted["split"])
    except Conflict as error:
        raise Skip(error.detail) from error
    preferred = voters[wanted["preferred"]]
    if preferred is None or preferred not in voting:
        preferred = voting[0]
    asked = {
        "runs": voting,
        "split": wanted["split"],
        "method": wanted["method"],
        "prefer": preferred,
        "file": VOTES_FILE,
    }
    left_out = [run_id for run_id in launched if run_id not in voting]
    published = _published(conn, wanted["published"], voting, left_out)
    said = {"voters": voting, "left_out": left_out, "preferred": preferred, "published": published}
    return asked, said


def _none_succeeded(step: StepRow) -> str:
    runs = len(step.run_ids)
    return (
        f"The run of step {step.name} did not succeed."
        if runs == 1
        else f"None of the {runs} runs of step {step.name} succeeded."
    )


def values_of(conn: Connection, measure: Measure, run_ids: Sequence[int]) -> dict[int, float]:
    """Return the finite values of those runs that have one."""
    if measure.series:
        table, named = METRIC_SUMMARIES, METRIC_SUMMARIES.c.name == measure.series
    else:
        table, named = EVALUATIONS, EVALUATIONS.c.split == measure.split
    query = select(table.c.run_id, table.c[measure.figure]).where(
        table.c.run_id.in_(run_ids), named
    )
    return {run_id: value for run_id, value in conn.execute(query) if value is not None}


def _published(
    conn: Connection,
    known: Mapping[str, Any] | None,
    voting: Sequence[int],
    left_out: Sequence[int],
) -> dict[str, Any] | None:
    """Return what was reported of a vote, with all that makes it another one than the authors'."""
    if known is None:
        return None
    published = Published.model_validate(known)
    differences = list(published.differences)
    for one in conn.scalars(select(RUNS.c.published).where(RUNS.c.id.in_(voting))):
        if one is not None:
            differences += Published.model_validate(one).differences
    if left_out:
        differences.append(f"without the vote of run {', '.join(map(str, left_out))}")
    told = tuple(dict.fromkeys(differences))[:DIFFERENCES_LIMIT]
    changed = published.model_copy(update={"differences": told})
    return changed.model_dump(mode="json")
