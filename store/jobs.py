"""Jobs: works that the web asks for, with progress and a result, done by one hand of a worker.

`queued → running → succeeded | failed`, either `→ cancelled`; `running → queued` when it is handed
back, or its worker falls silent. Each claim is a new try, and every write of a try is guarded by
its number and state, so the program of a cancelled one is stopped at its worker's next word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from store.columns import fresh
from store.database import Store
from store.rows import JobRow
from store.tables import DATASETS, JOBS, RUNS, Job
from store.values import is_id, plain_json
from trainer.errors import Conflict, NotFound

Hand = Literal["model", "quick", "long", "train"]
HANDS: tuple[Hand, ...] = ("model", "quick", "long", "train")
"""The first answers clicks, with models that stay loaded; somebody waits for the second; the third
may take minutes; the last needs a training slot."""
KINDS: Mapping[str, Hand] = {
    "classify": "model",
    "gradcam": "model",
    "features": "model",
    "modules": "model",
    "predict": "quick",
    "export": "long",
    "vote": "quick",
    "duplicates": "long",
    "preflight": "train",
}
"""Which hand does what, where it is not asked otherwise."""
MAX_TRIES = 3
"""Claims of one job; one that took so many workers with it is given up."""


def create_job(
    store: Store,
    kind: str,
    owner: str,
    payload: Mapping[str, Any],
    run_id: int | None = None,
    *,
    dataset_id: int | None = None,
    hand: Hand | None = None,
    device: str = "auto",
) -> JobRow:
    """Queue a job and return it.

    Args:
        run_id: The run whose model is used.
        dataset_id: The dataset that is looked at; the job waits while that is being prepared.
        hand: Who is to do it, where that is not what `KINDS` says.
        device: auto, cpu or cuda, for the hand that trains.

    Raises:
        NotFound: If there is no such run, or no longer.
    """
    with store.write() as conn:
        return add_job(
            conn,
            store,
            kind,
            owner,
            payload,
            run_id,
            dataset_id=dataset_id,
            hand=hand,
            device=device,
        )


def add_job(
    conn: Connection,
    store: Store,
    kind: str,
    owner: str,
    payload: Mapping[str, Any],
    run_id: int | None = None,
    *,
    dataset_id: int | None = None,
    hand: Hand | None = None,
    device: str = "auto",
) -> JobRow:
    """Queue a job within the caller's transaction; see `create_job`."""
    if run_id is not None:
        # A deletion that has begun is waited for; one that begins later finds the job.
        kept = select(RUNS.c.id).where(RUNS.c.id == run_id)
        if conn.scalar(kept.with_for_update(read=True, key_share=True)) is None:
            raise NotFound(f"There is no run {run_id}.")
    row = conn.execute(
        insert(JOBS)
        .values(
            **fresh(
                Job,
                kind=kind,
                hand=hand or KINDS[kind],
                device_wanted=device,
                owner=owner,
                run_id=run_id,
                dataset_id=dataset_id,
                payload=plain_json(dict(payload)),
                state="queued",
                created_at=store.clock(),
            )
        )
        .returning(*JOBS.c)
    ).one()
    return JobRow(**row._mapping)


def get_job(store: Store, job_id: int) -> JobRow:
    """Return a job.

    Raises:
        NotFound: If there is none of that id.
    """
    if is_id(job_id):
        with store.read() as conn:
            row = conn.execute(select(JOBS).where(JOBS.c.id == job_id)).one_or_none()
        if row is not None:
            return JobRow(**row._mapping)
    raise NotFound(f"There is no job {job_id}.", "Jobs are kept for a day after their end.")


def list_jobs(store: Store, limit: int = 50) -> list[JobRow]:
    """Return the newest jobs, newest first."""
    with store.read() as conn:
        rows = conn.execute(select(JOBS).order_by(JOBS.c.id.desc()).limit(limit))
        return [JobRow(**row._mapping) for row in rows]


def exports(store: Store, run_id: int, limit: int = 20) -> list[JobRow]:
    """Return the newest exports of a run's model, newest first."""
    query = (
        select(JOBS)
        .where(JOBS.c.kind == "export", JOBS.c.run_id == run_id)
        .order_by(JOBS.c.id.desc())
        .limit(limit)
    )
    with store.read() as conn:
        return [JobRow(**row._mapping) for row in conn.execute(query)]


def succeeded_jobs(store: Store, kind: str) -> list[JobRow]:
    """Return the jobs of a kind that have succeeded, as far as they are kept, newest first."""
    query = select(JOBS).where(JOBS.c.kind == kind, JOBS.c.state == "succeeded")
    with store.read() as conn:
        return [JobRow(**row._mapping) for row in conn.execute(query.order_by(JOBS.c.id.desc()))]


def newest_job(store: Store, kind: str, dataset_id: int) -> JobRow | None:
    """Return the newest job of a kind that looks at a dataset."""
    with store.read() as conn:
        row = conn.execute(
            select(JOBS)
            .where(JOBS.c.kind == kind, JOBS.c.dataset_id == dataset_id)
            .order_by(JOBS.c.id.desc())
            .limit(1)
        ).one_or_none()
    return None if row is None else JobRow(**row._mapping)


def claim_job(
    store: Store,
    lease_s: float,
    hands: Sequence[Hand] = ("quick", "long"),
    device: Literal["cpu", "cuda"] = "cpu",
) -> JobRow | None:
    """Take the oldest job of those hands that nobody is at; None if there is none.

    One that was tried too often is failed on the way.

    Args:
        device: Which the hand has.
    """
    with store.write() as conn:
        while True:
            row = conn.execute(
                select(JOBS)
                .where(_free(store, hands, device))
                .order_by(JOBS.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).one_or_none()
            if row is None:
                return None
            if row.tries < MAX_TRIES:
                break
            _end(conn, store, JOBS.c.id == row.id, state="failed", error=_GIVEN_UP)
        claimed = conn.execute(
            update(JOBS)
            .where(JOBS.c.id == row.id)
            .values(
                state="running",
                tries=row.tries + 1,
                started_at=store.clock(),
                lease_expires_at=store.clock() + lease_s,
                progress={},
            )
            .returning(*JOBS.c)
        ).one()
    return JobRow(**claimed._mapping)


def beat_job(
    store: Store, job: JobRow, lease_s: float, progress: Mapping[str, Any] | None = None
) -> bool:
    """Keep a try's lease and how far it is; False if the job is no longer this try's.

    Args:
        progress: what, done and total; None: as before.
    """
    values: dict[str, Any] = {"lease_expires_at": store.clock() + lease_s}
    if progress is not None:
        values["progress"] = plain_json(dict(progress))
    with store.write() as conn:
        changed = conn.execute(update(JOBS).where(_owned(job)).values(**values))
    return changed.rowcount > 0


def release_job(store: Store, job: JobRow) -> bool:
    """Hand an unfinished job back to be claimed at once; that try does not count."""
    with store.write() as conn:
        changed = conn.execute(
            update(JOBS)
            .where(_owned(job))
            .values(state="queued", tries=job.tries - 1, lease_expires_at=None, progress={})
        )
    return changed.rowcount > 0


def job_succeeded(store: Store, job: JobRow, result: Mapping[str, Any]) -> bool:
    """Keep a job's result; False if the job is no longer this try's."""
    with store.write() as conn:
        return _end(conn, store, _owned(job), state="succeeded", result=plain_json(dict(result)))


def job_failed(store: Store, job: JobRow, error: Mapping[str, Any]) -> bool:
    """Keep why a job failed; False if the job is no longer this try's."""
    with store.write() as conn:
        return _end(conn, store, _owned(job), state="failed", error=plain_json(dict(error)))


def cancel_job(store: Store, job_id: int) -> JobRow:
    """End a job that has not ended; its worker stops the program for it within a second or two.

    Raises:
        NotFound: If there is none of that id.
        Conflict: If it has ended.
    """
    job = get_job(store, job_id)
    with store.write() as conn:
        unfinished = and_(JOBS.c.id == job.id, JOBS.c.state.in_(("queued", "running")))
        if not _end(conn, store, unfinished, state="cancelled", error=_CANCELLED):
            raise Conflict(f"Job {job.id} has ended: there is nothing to cancel.")
    return get_job(store, job_id)


def jobs_wait(
    store: Store,
    hands: Sequence[Hand] = ("quick", "long"),
    device: Literal["cpu", "cuda"] = "cpu",
) -> bool:
    """Tell whether there is a job for those hands that nobody is at."""
    with store.read() as conn:
        found = conn.scalar(select(JOBS.c.id).where(_free(store, hands, device)).limit(1))
    return found is not None


def forget_jobs(store: Store, older_than_s: float) -> list[int]:
    """Delete jobs that ended so long ago, and return their ids; their files are the caller's."""
    with store.write() as conn:
        gone = conn.scalars(
            delete(JOBS)
            .where(JOBS.c.finished_at < store.clock() - older_than_s)
            .returning(JOBS.c.id)
        ).all()
    return list(gone)


_GIVEN_UP = {
    "title": "The job was given up",
    "detail": f"{MAX_TRIES} tries ended without a word, each with its worker.",
    "remedy": "The interactive worker's log may hold more; memory may have run out.",
    "errors": [],
}


_CANCELLED = {
    "title": "The job was cancelled",
    "detail": "It was cancelled.",
    "remedy": "Ask for it again.",
    "errors": [],
}


def _free(
    store: Store, hands: Sequence[Hand], device: Literal["cpu", "cuda"]
) -> ColumnElement[bool]:
    silent = and_(JOBS.c.state == "running", JOBS.c.lease_expires_at < store.clock())
    fitting = ("auto", "cpu", "cuda") if device == "cuda" else ("auto", "cpu")
    being_prepared = exists().where(
        DATASETS.c.id == JOBS.c.dataset_id, DATASETS.c.status == "preparing"
    )
    return and_(
        or_(JOBS.c.state == "queued", silent),
        JOBS.c.hand.in_(hands),
        JOBS.c.device_wanted.in_(fitting),
        ~being_prepared,
    )


def _owned(job: JobRow) -> ColumnElement[bool]:
    return and_(JOBS.c.id == job.id, JOBS.c.tries == job.tries, JOBS.c.state == "running")


def _end(conn: Connection, store: Store, where: ColumnElement[bool], **values: Any) -> bool:
    changed = conn.execute(
        update(JOBS).where(where).values(finished_at=store.clock(), lease_expires_at=None, **values)
    )
    return changed.rowcount > 0
