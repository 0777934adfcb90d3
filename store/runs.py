"""Runs: made, found, listed. Their state moves in `store.lifecycle` alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from store.columns import fresh
from store.database import Store
from store.datasets import current_name
from store.external import report_external
from store.queue import queue_place, queue_places
from store.rows import AttemptRow, RunRow
from store.run_list import Page, counts_by_status, list_runs
from store.states import Status, tell_state
from store.study_tables import STUDIES
from store.tables import ATTEMPTS, RUNS, SPEC_FIELDS, Run
from store.values import is_id, plain_json
from trainer.errors import Conflict, NotFound
from trainer.published import Published
from trainer.spec import ExperimentSpec, flat_fields

__all__ = [
    "Page",
    "attempts",
    "continuations",
    "counts_by_status",
    "create_run",
    "create_runs",
    "get_run",
    "list_runs",
    "queue_place",
    "queue_places",
    "report_external",
    "runs_by_ids",
    "update_note",
]

SPEC_FIELD_LIMIT = 500  # characters; PostgreSQL indexes values of at most 2,700 bytes


def create_run(
    store: Store,
    spec: ExperimentSpec,
    *,
    owner: str,
    study_id: int | None = None,
    priority: int = 0,
    idempotency_key: str | None = None,
    external: bool = False,
    note: str = "",
    continues: tuple[int, int] | None = None,
    leaks_acknowledged: bool = False,
) -> tuple[RunRow, bool]:
    """Queue a run; return it, and whether it is new.

    Args:
        priority: Higher goes first.
        idempotency_key: A second call of the same owner with the same key and spec returns the
            first one's run.
        external: Trained outside Tuneboard: running at once, never claimed by a worker.
        continues: The run whose last checkpoint it begins with, and how many epochs that has.
        leaks_acknowledged: Launched though images may leak; true too where that is so of its study.

    Raises:
        Conflict: If the key was used for another spec.
        NotFound: If there is no such study.
    """
    try:
        with store.write() as conn:
            if idempotency_key is not None:
                found = _by_key(conn, owner, idempotency_key)
                if found is not None:
                    return _same(found, spec), False
            if study_id is not None:
                _check_study(conn, study_id)
            run = add_run(
                conn,
                store,
                spec,
                owner=owner,
                study_id=study_id,
                priority=priority,
                idempotency_key=idempotency_key,
                external=external,
                note=note,
                continues=continues,
                leaks_acknowledged=leaks_acknowledged,
            )
            return run, True
    except IntegrityError:
        if idempotency_key is None:
            raise
        with store.read() as conn:  # somebody used the key at the same moment
            found = _by_key(conn, owner, idempotency_key)
        if found is None:
            raise
        return _same(found, spec), False


def create_runs(
    store: Store,
    specs: Sequence[ExperimentSpec],
    *,
    owner: str,
    study_id: int | None = None,
    priority: int = 0,
    published: Sequence[Published | None] = (),
    leaks_acknowledged: bool = False,
) -> list[RunRow]:
    """Queue runs, all or none, and return them; see `create_run`.

    Args:
        published: What was reported of each; empty: of none.

    Raises:
        NotFound: If there is no such study.
    """
    with store.write() as conn:
        if study_id is not None:
            _check_study(conn, study_id)
        return [
            add_run(
                conn,
                store,
                spec,
                owner=owner,
                study_id=study_id,
                priority=priority,
                published=known,
                leaks_acknowledged=leaks_acknowledged,
            )
            for spec, known in zip(specs, published or [None] * len(specs), strict=True)
        ]


def add_run(
    conn: Connection,
    store: Store,
    spec: ExperimentSpec,
    *,
    owner: str,
    study_id: int | None = None,
    priority: int = 0,
    idempotency_key: str | None = None,
    external: bool = False,
    note: str = "",
    published: Published | None = None,
    continues: tuple[int, int] | None = None,
    leaks_acknowledged: bool = False,
) -> RunRow:
    """Insert a run within the caller's transaction; see `create_run`.

    Args:
        published: What a recipe's authors reported of it.
    """
    data = plain_json(spec.model_dump(mode="json"))
    of_study = select(STUDIES.c.leaks_acknowledged).where(STUDIES.c.id == study_id)
    row = conn.execute(
        insert(RUNS)
        .values(
            **fresh(
                Run,
                name=spec.display_name(),
                owner=owner,
                study_id=study_id,
                dataset_name=current_name(conn, spec.dataset.name, hold=True),
                device_wanted=spec.training.device,
                spec=data,
                note=note,
                idempotency_key=idempotency_key,
                external=external,
                status=Status.RUNNING if external else Status.QUEUED,
                priority=priority,
                created_at=store.clock(),
                started_at=store.clock() if external else None,
                epochs=spec.training.epochs,
                event_seq=1,
                published=published.model_dump(mode="json") if published else None,
                continues_run=continues[0] if continues else None,
                continues_epoch=continues[1] if continues else None,
                leaks_acknowledged=leaks_acknowledged or bool(conn.scalar(of_study)),
            )
        )
        .returning(*RUNS.c)
    ).one()
    run = RunRow(**row._mapping)
    conn.execute(insert(SPEC_FIELDS), _spec_fields(run.id, data))
    tell_state(conn, store, run)
    if study_id is not None:
        reopen_study(conn, study_id)
    return run


def reopen_study(conn: Connection, study_id: int) -> None:
    """Take back that a study was stopped or at its end: it has got a run."""
    is_closed = or_(STUDIES.c.stopped_at.is_not(None), STUDIES.c.ended_at.is_not(None))
    conn.execute(
        update(STUDIES)
        .where(STUDIES.c.id == study_id, is_closed)
        .values(stopped_at=None, ended_at=None)
    )


def get_run(store: Store, run_id: int) -> RunRow:
    """Return a run.

    Raises:
        NotFound: If there is none of that id.
    """
    found = runs_by_ids(store, [run_id])
    if not found:
        raise NotFound(f"There is no run {run_id}.")
    return found[0]


def runs_by_ids(store: Store, run_ids: Sequence[int]) -> list[RunRow]:
    """Return the runs of those ids that exist, in the order asked for."""
    query = select(RUNS).where(RUNS.c.id.in_([number for number in run_ids if is_id(number)]))
    with store.read() as conn:
        found = {row.id: RunRow(**row._mapping) for row in conn.execute(query)}
    return [found[number] for number in dict.fromkeys(run_ids) if number in found]


def attempts(store: Store, run_id: int) -> list[AttemptRow]:
    """Return the attempts at a run, oldest first."""
    if not is_id(run_id):
        return []
    query = select(ATTEMPTS).where(ATTEMPTS.c.run_id == run_id).order_by(ATTEMPTS.c.number)
    with store.read() as conn:
        return [AttemptRow(**row._mapping) for row in conn.execute(query)]


def continuations(store: Store, run_id: int) -> list[RunRow]:
    """Return the runs that continue a run, oldest first."""
    query = select(RUNS).where(RUNS.c.continues_run == run_id).order_by(RUNS.c.id)
    with store.read() as conn:
        return [RunRow(**row._mapping) for row in conn.execute(query)]


def update_note(store: Store, run_id: int, note: str) -> RunRow:
    """Write a run's note; this works on ended runs as well.

    Raises:
        NotFound: If there is none of that id.
    """
    with store.write() as conn:
        row = None
        if is_id(run_id):
            row = conn.execute(
                update(RUNS).where(RUNS.c.id == run_id).values(note=note).returning(*RUNS.c)
            ).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id}.")
    return RunRow(**row._mapping)


def _spec_fields(run_id: int, data: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for path, value in flat_fields(data).items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        rows.append(
            {
                "run_id": run_id,
                "path": path,
                "text": text[:SPEC_FIELD_LIMIT],
                "number": float(value) if is_number else None,
            }
        )
    return rows


def _by_key(conn: Connection, owner: str, key: str) -> RunRow | None:
    row = conn.execute(
        select(RUNS).where(RUNS.c.owner == owner, RUNS.c.idempotency_key == key)
    ).one_or_none()
    return None if row is None else RunRow(**row._mapping)


def _same(found: RunRow, spec: ExperimentSpec) -> RunRow:
    if found.spec != plain_json(spec.model_dump(mode="json")):
        raise Conflict(
            f"The idempotency key was used for another spec, that of run {found.id}.",
            "Send a new key with a new spec.",
        )
    return found


def _check_study(conn: Connection, study_id: int) -> None:
    known = is_id(study_id) and conn.scalar(select(STUDIES.c.id).where(STUDIES.c.id == study_id))
    if not known:
        raise NotFound(f"There is no study {study_id}.")
