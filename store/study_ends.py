"""When studies end, by themselves or because somebody stops them, and what webhooks are told then.

A study's end is noted under the lock of its row, in the transaction that queues what its webhook
is told: so it is told once, however many workers look.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, exists, func, select, update

from store.database import Store
from store.deliveries import add_delivery
from store.lifecycle import request_cancel
from store.rows import SEARCHING, TERMINAL_STATUSES, StudyRow
from store.studies import get_study, studies_where
from store.study_results import Member, best_of, members_of
from store.study_tables import DELIVERIES, STUDIES, STUDY_STEPS, SWEEPS
from store.tables import RUNS
from trainer.errors import Conflict, NotFound

What = Literal["waiting", "all"]
TOLD_RUNS = 500
"""Runs named in what a webhook is told of a study."""


def note_ends(store: Store, study_id: int | None = None) -> list[int]:
    """Note which studies have ended, by default of all; return what is to be sent for it.

    Raises:
        Unavailable: If the database does not answer.
    """
    with store.read() as conn:
        due = set(conn.scalars(select(STUDIES.c.id).where(_may_have_ended(), _only(study_id))))
        due |= set(conn.scalars(select(RUNS.c.study_id).where(_untold(), _only(study_id))))
    sent: list[int] = []
    for found in sorted(due):
        with store.write() as conn:
            sent += _note(conn, store, found)
    return sent


def stop_study(store: Store, study_id: int, what: What = "all", owner: str = "") -> StudyRow:
    """Stop a study: no more of its runs or steps begin; with `all`, those that go on end too.

    Raises:
        NotFound: If there is no such study.
        Conflict: If it has ended.
    """
    found = get_study(store, study_id)
    if found.is_over:
        raise Conflict(f"Study {study_id} has ended; there is nothing to stop.")
    with store.write() as conn:
        conn.execute(
            update(STUDIES).where(STUDIES.c.id == study_id).values(stopped_at=store.clock())
        )
        conn.execute(
            update(STUDY_STEPS)
            .where(STUDY_STEPS.c.study_id == study_id, STUDY_STEPS.c.state == "waiting")
            .values(state="skipped", reason=f"{owner or 'Somebody'} stopped the study.")
        )
        conn.execute(
            update(SWEEPS)
            .where(SWEEPS.c.study_id == study_id, SWEEPS.c.state == "searching")
            .values(state="stopping", reason=f"{owner or 'Somebody'} stopped the study.")
        )
    statuses = ("queued", "paused") if what == "waiting" else ("queued", "paused", "running")
    query = select(RUNS.c.id).where(RUNS.c.study_id == study_id, RUNS.c.status.in_(statuses))
    with store.read() as conn:
        run_ids = conn.scalars(query.order_by(RUNS.c.id.desc())).all()
    for run_id in run_ids:
        _cancel(store, run_id, waiting_only=what == "waiting")
    return get_study(store, study_id)


def _cancel(store: Store, run_id: int, *, waiting_only: bool) -> None:
    """Cancel a run that is still alive, and still waits if that is asked for."""
    if waiting_only:
        with store.read() as conn:
            if conn.scalar(select(RUNS.c.status).where(RUNS.c.id == run_id)) == "running":
                return
    try:
        request_cancel(store, run_id)
    except (Conflict, NotFound):
        return  # it has ended in this moment


def _may_have_ended() -> ColumnElement[bool]:
    own = RUNS.c.study_id == STUDIES.c.id
    step = STUDY_STEPS.c.study_id == STUDIES.c.id
    search = SWEEPS.c.study_id == STUDIES.c.id
    return (
        STUDIES.c.ended_at.is_(None)
        & exists().where(own)
        & ~exists().where(own, RUNS.c.status.not_in(TERMINAL_STATUSES))
        & ~exists().where(step, STUDY_STEPS.c.state.in_(("waiting", "running")))
        & ~exists().where(search, SWEEPS.c.state.in_(SEARCHING))
    )


def _untold() -> ColumnElement[bool]:
    """Return the condition of runs that a webhook is to be told of and was not."""
    told = exists().where(DELIVERIES.c.run_id == RUNS.c.id, DELIVERIES.c.event == "run.ended")
    return (
        (RUNS.c.study_id == STUDIES.c.id)
        & (STUDIES.c.webhook_url != "")
        & (RUNS.c.finished_at >= STUDIES.c.webhook_runs_since)
        & RUNS.c.status.in_(TERMINAL_STATUSES)
        & ~told
    )


def _only(study_id: int | None) -> Any:
    return STUDIES.c.id == study_id if study_id is not None else STUDIES.c.id > 0


def _note(conn: Connection, store: Store, study_id: int) -> list[int]:
    row = conn.execute(
        select(STUDIES).where(STUDIES.c.id == study_id).with_for_update()
    ).one_or_none()
    if row is None:
        return []
    [study] = studies_where(conn, STUDIES.c.id == study_id)
    sent = []
    untold = select(RUNS.c.id).where(_untold(), STUDIES.c.id == study_id).order_by(RUNS.c.id)
    run_ids = conn.scalars(untold).all()
    if not run_ids and (study.ended_at is not None or not study.is_over):
        return []
    members = members_of(conn, study_id)
    for member in members:
        if member.run_id in set(run_ids):
            said = _run_told(study, member)
            key = f"run:{member.run_id}"
            sent.append(
                add_delivery(conn, store, study, "run.ended", said, run_id=member.run_id, key=key)
            )
    if study.ended_at is None and study.is_over:
        last = select(func.max(RUNS.c.finished_at)).where(RUNS.c.study_id == study_id)
        ended_at = conn.scalar(last) or store.now(conn)
        conn.execute(update(STUDIES).where(STUDIES.c.id == study_id).values(ended_at=ended_at))
        if study.webhook_url:
            said = _study_told(study, members, ended_at)
            sent.append(add_delivery(conn, store, study, "study.ended", said))
    return sent


def _run_told(study: StudyRow, member: Member) -> dict[str, Any]:
    how = {"succeeded": "has succeeded", "failed": "has failed"}.get(member.status, "was cancelled")
    return {
        "event": "run.ended",
        "text": f"Run {member.run_id}, {member.name}, of study {study.name} {how}.",
        "study": _named(study),
        "run": _member_told(member),
    }


def _study_told(study: StudyRow, members: list[Member], ended_at: float) -> dict[str, Any]:
    counts = ", ".join(f"{number} {status}" for status, number in sorted(study.counts.items()))
    best = best_of(members)
    text = f"Study {study.name} {'was stopped' if study.stopped_at else 'has ended'}: {counts}."
    if best is not None:
        text += f" Best validation accuracy {best.accuracy:.2%}: run {best.run_id}, {best.name}."
    return {
        "event": "study.ended",
        "text": text,
        "study": {
            **_named(study),
            "created_at": study.created_at,
            "ended_at": ended_at,
            "stopped": study.stopped_at is not None,
            "counts": study.counts,
        },
        "best": None if best is None else _member_told(best),
        "runs": [_member_told(member) for member in members[:TOLD_RUNS]],
        "runs_total": len(members),
    }


def _named(study: StudyRow) -> dict[str, Any]:
    return {
        "id": study.id,
        "name": study.name,
        "owner": study.owner,
        "path": f"/studies/{study.id}",
    }


def _member_told(member: Member) -> dict[str, Any]:
    return {
        "id": member.run_id,
        "name": member.name,
        "status": member.status,
        "best_val_accuracy": member.accuracy,
        "path": f"/runs/{member.run_id}",
    }
