"""Studies: runs launched together; made, found, changed, and given members.

How they end is in `store.study_ends`, what came of their runs in `store.study_results`.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from store.database import Store
from store.rows import SEARCHING, TERMINAL_STATUSES, StudyRow
from store.runs import add_run, create_runs, reopen_study
from store.steps import add_steps, steps_of
from store.study_tables import STUDIES, STUDY_STEPS, SWEEPS
from store.sweeps import add_sweep, sweeps_of
from store.tables import RUNS
from store.values import is_id
from store.webhooks import NO_WEBHOOK, Webhook
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound
from trainer.published import Published
from trainer.spec import ExperimentSpec
from trainer.steps import PlannedStep
from trainer.sweeps.expand import Expansion

State = Literal["", "active", "ended", "stopped"]
STATES: tuple[State, ...] = ("active", "ended", "stopped")


@dataclass(frozen=True)
class StudiesPage:
    """Some of the studies asked for, newest first."""

    rows: list[StudyRow]
    next_cursor: str | None
    """Asks for the studies after these; None where there are none."""


@dataclass(frozen=True)
class RequestKey:
    """What a sender calls a request, so that sending it again does nothing anew."""

    key: str
    digest: str
    """Of all that is asked for; another one under the same key is refused."""


def create_study(
    store: Store,
    name: str,
    owner: str,
    specs: Sequence[ExperimentSpec] = (),
    note: str = "",
    *,
    priority: int = 0,
    published: Sequence[Published | None] = (),
    steps: Sequence[PlannedStep] = (),
    webhook: Webhook = NO_WEBHOOK,
    sweep: Expansion | None = None,
    leaks_acknowledged: bool = False,
    request: RequestKey | None = None,
) -> StudyRow:
    """Create a study and queue a run for each spec, or its first steps' runs; all or nothing.

    Args:
        published: What was reported of each run; empty: of none.
        steps: In place of `specs`.
        webhook: Told when it ends.
        sweep: What `specs` or `steps` come from; of a search both are empty.
        leaks_acknowledged: Of all its runs, those that come later too.
        request: A second call of the same owner with the same one returns the first one's study.

    Raises:
        Conflict: If its key was used for another study.
    """
    try:
        with store.write() as conn:
            if request is not None and (made := _by_request(conn, owner, request)) is not None:
                return made
            row = conn.execute(
                insert(STUDIES)
                .values(
                    name=name,
                    owner=owner,
                    note=note,
                    created_at=store.clock(),
                    leaks_acknowledged=leaks_acknowledged,
                    idempotency_key=request.key if request else None,
                    request_digest=request.digest if request else None,
                    **_webhook_values(store, webhook),
                )
                .returning(*STUDIES.c)
            ).one()
            for spec, known in zip(specs, published or [None] * len(specs), strict=True):
                add_run(
                    conn,
                    store,
                    spec,
                    owner=owner,
                    study_id=row.id,
                    priority=priority,
                    published=known,
                )
            if sweep is not None:
                add_sweep(conn, row.id, sweep, owner=owner, priority=priority)
            if steps:
                add_steps(conn, store, row.id, steps, owner=owner, priority=priority)
            return studies_where(conn, STUDIES.c.id == row.id)[0]
    except IntegrityError:
        if request is None:
            raise
        made = study_of_request(store, owner, request)  # somebody used the key at the same moment
        if made is None:
            raise
        return made


def study_of_request(store: Store, owner: str, request: RequestKey) -> StudyRow | None:
    """Return the study that a request made when it was sent before; None where it is new.

    Raises:
        Conflict: If its key was used for another study.
    """
    with store.read() as conn:
        return _by_request(conn, owner, request)


def get_study(store: Store, study_id: int) -> StudyRow:
    """Return a study with its runs' ids, how many are in which status, and its steps.

    Raises:
        NotFound: If there is none of that id.
    """
    if is_id(study_id):
        with store.read() as conn:
            found = studies_where(conn, STUDIES.c.id == study_id)
        if found:
            return found[0]
    raise NotFound(f"There is no study {study_id}.")


def list_studies(store: Store, limit: int = 100) -> list[StudyRow]:
    """Return the newest studies, newest first."""
    return find_studies(store, limit=limit).rows


def find_studies(
    store: Store,
    *,
    text: str = "",
    owner: str = "",
    state: State = "",
    limit: int = 50,
    cursor: str = "",
) -> StudiesPage:
    """Return studies that match everything given, newest first.

    Args:
        text: Part of the name or the note, in any case, or the id.
        state: active: something goes on or waits; ended: nothing does; stopped by somebody.
        cursor: The page before this one's `next_cursor`.

    Raises:
        InvalidInput: If the state is unknown or the cursor not ours.
    """
    wanted: list[ColumnElement[bool]] = []
    if text.strip():
        wanted.append(_matches(text.strip()))
    if owner:
        wanted.append(STUDIES.c.owner == owner)
    if state:
        wanted.append(_in_state(state))
    if cursor:
        if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
            raise InvalidInput.of(FieldError("cursor", cursor, "a cursor that a page before gave"))
        wanted.append(STUDIES.c.id < int(cursor))
    with store.read() as conn:
        rows = studies_where(conn, *wanted, limit=limit + 1)
    return StudiesPage(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)


def study_owners(store: Store) -> list[str]:
    """Return who has launched studies, in order."""
    with store.read() as conn:
        return sorted(conn.scalars(select(STUDIES.c.owner).distinct()))


def change_study(
    store: Store,
    study_id: int,
    *,
    name: str | None = None,
    note: str | None = None,
    webhook: Webhook | None = None,
) -> StudyRow:
    """Change what is given of a study; a new webhook gets a new secret.

    Raises:
        NotFound: If there is none of that id.
    """
    found = get_study(store, study_id)
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = name
    if note is not None:
        values["note"] = note
    if webhook is not None:
        values |= _webhook_values(store, webhook)
        if webhook.url and webhook.url == found.webhook_url:
            del values["webhook_secret"]
            if webhook.each_run and found.webhook_runs_since is not None:
                del values["webhook_runs_since"]
    if values:
        with store.write() as conn:
            conn.execute(update(STUDIES).where(STUDIES.c.id == study_id).values(**values))
    return get_study(store, study_id)


def extend_study(
    store: Store,
    study_id: int,
    specs: Sequence[ExperimentSpec],
    *,
    owner: str,
    priority: int = 0,
    published: Sequence[Published | None] = (),
) -> StudyRow:
    """Queue further runs of a study, all or none.

    Raises:
        NotFound: If there is none of that id.
    """
    create_runs(
        store, specs, owner=owner, study_id=study_id, priority=priority, published=published
    )
    return get_study(store, study_id)


def add_members(store: Store, study_id: int, run_ids: Sequence[int]) -> StudyRow:
    """Take runs that belong to no study into this one; all or none.

    Raises:
        NotFound: If there is no such study or run.
        InvalidInput: If a run was trained on other data than the study's runs.
        Conflict: If a run belongs to another study.
    """
    with store.write() as conn:
        known = (
            is_id(study_id)
            and conn.execute(
                select(STUDIES.c.id).where(STUDIES.c.id == study_id).with_for_update()
            ).one_or_none()
        )
        if not known:
            raise NotFound(f"There is no study {study_id}.")
        columns = select(RUNS.c.id, RUNS.c.study_id, RUNS.c.dataset_name, RUNS.c.status)
        ids = [one for one in dict.fromkeys(run_ids) if is_id(one)]
        found = {row.id: row for row in conn.execute(columns.where(RUNS.c.id.in_(ids)))}
        own = conn.scalars(
            select(RUNS.c.dataset_name).where(RUNS.c.study_id == study_id).distinct()
        ).all()
        for run_id in dict.fromkeys(run_ids):
            if run_id not in found:
                raise NotFound(f"There is no run {run_id}.", "The Runs page lists those there are.")
            _check_member(found[run_id], study_id, own)
        new = [run_id for run_id in ids if found[run_id].study_id is None]
        conn.execute(update(RUNS).where(RUNS.c.id.in_(new)).values(study_id=study_id))
        if any(found[run_id].status not in TERMINAL_STATUSES for run_id in new):
            reopen_study(conn, study_id)
    return get_study(store, study_id)


def studies_where(
    conn: Connection, *wanted: ColumnElement[bool], limit: int | None = None
) -> list[StudyRow]:
    """Return the studies of some conditions, newest first, within the caller's transaction."""
    query = select(STUDIES).where(*wanted).order_by(STUDIES.c.id.desc()).limit(limit)
    studies = conn.execute(query).all()
    members: dict[int, list[tuple[int, str]]] = {row.id: [] for row in studies}
    for study_id, run_id, status in conn.execute(
        select(RUNS.c.study_id, RUNS.c.id, RUNS.c.status)
        .where(RUNS.c.study_id.in_(members))
        .order_by(RUNS.c.id)
    ):
        members[study_id].append((run_id, status))
    steps = steps_of(conn, list(members))
    sweeps = sweeps_of(conn, list(members))
    return [
        StudyRow(
            **row._mapping,
            run_ids=tuple(run_id for run_id, _ in members[row.id]),
            counts=dict(Counter(status for _, status in members[row.id])),
            steps=tuple(steps.get(row.id, ())),
            sweep=sweeps.get(row.id),
        )
        for row in studies
    ]


def _by_request(conn: Connection, owner: str, request: RequestKey) -> StudyRow | None:
    same = (STUDIES.c.owner == owner, STUDIES.c.idempotency_key == request.key)
    found = studies_where(conn, *same)
    if not found:
        return None
    if found[0].request_digest != request.digest:
        raise Conflict(
            f"The idempotency key was used for another study, {found[0].id}.",
            "Send a new key with a new study.",
        )
    return found[0]


def _webhook_values(store: Store, webhook: Webhook) -> dict[str, Any]:
    return {
        "webhook_url": webhook.url,
        "webhook_secret": secrets.token_urlsafe(32) if webhook.url else "",
        "webhook_runs_since": store.clock() if webhook.url and webhook.each_run else None,
    }


def _check_member(run: Any, study_id: int, datasets: Sequence[str]) -> None:
    if run.study_id not in {None, study_id}:
        raise Conflict(
            f"Run {run.id} belongs to study {run.study_id}.",
            "A run is of one study; comparisons hold runs of several.",
        )
    if datasets and run.dataset_name not in datasets:
        expected = f"runs on the study's dataset, {', '.join(sorted(datasets))}"
        raise InvalidInput.of(
            FieldError("runs", f"{run.id} on {run.dataset_name}", expected, "Compare them instead.")
        )


def _in_state(state: State) -> ColumnElement[bool]:
    if state not in STATES:
        raise InvalidInput.of(FieldError("state", state, "one of " + ", ".join(STATES)))
    if state == "stopped":
        return STUDIES.c.stopped_at.is_not(None)
    lives = RUNS.c.status.not_in(TERMINAL_STATUSES)
    comes = STUDY_STEPS.c.state.in_(("waiting", "running"))
    is_active = or_(
        exists().where(RUNS.c.study_id == STUDIES.c.id, lives),
        exists().where(STUDY_STEPS.c.study_id == STUDIES.c.id, comes),
        exists().where(SWEEPS.c.study_id == STUDIES.c.id, SWEEPS.c.state.in_(SEARCHING)),
    )
    return is_active if state == "active" else ~is_active


def _matches(text: str) -> ColumnElement[bool]:
    named = or_(
        STUDIES.c.name.icontains(text, autoescape=True),
        STUDIES.c.note.icontains(text, autoescape=True),
    )
    digits = text.removeprefix("#")
    if digits.isascii() and digits.isdecimal() and len(digits) < 10:
        return or_(named, STUDIES.c.id == int(digits))
    return named
