"""Jobs: small works after training that the web asks for and the interactive worker does.

`queued → running → succeeded | failed`; `running → queued` when it is handed back, or its worker
falls silent. Each claim is a new try, and every write of a try is guarded by its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from store.database import Store
from store.rows import JobRow
from store.tables import JOBS, Job, fresh
from store.values import is_id, plain_json
from trainer.errors import NotFound

KINDS = ("predict", "export", "vote")
MAX_TRIES = 3
"""Claims of one job; one that took so many workers with it is given up."""


def create_job(
    store: Store, kind: str, owner: str, payload: Mapping[str, Any], run_id: int | None = None
) -> JobRow:
    """Queue a job and return it."""
    with store.write() as conn:
        return add_job(conn, store, kind, owner, payload, run_id)


def add_job(
    conn: Connection,
    store: Store,
    kind: str,
    owner: str,
    payload: Mapping[str, Any],
    run_id: int | None = None,
) -> JobRow:
    """Queue a job within the caller's transaction."""
    row = conn.execute(
        insert(JOBS)
        .values(
            **fresh(
                Job,
                kind=kind,
                owner=owner,
                run_id=run_id,
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


def claim_job(store: Store, lease_s: float) -> JobRow | None:
    """Take the oldest job that nobody is at; None if there is none.

    One that was tried too often is failed on the way.
    """
    with store.write() as conn:
        while True:
            row = conn.execute(
                select(JOBS)
                .where(_free(store))
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
            )
            .returning(*JOBS.c)
        ).one()
    return JobRow(**claimed._mapping)


def beat_job(store: Store, job: JobRow, lease_s: float) -> bool:
    """Keep a try's lease; False if the job is no longer this try's."""
    with store.write() as conn:
        changed = conn.execute(
            update(JOBS).where(_owned(job)).values(lease_expires_at=store.clock() + lease_s)
        )
    return changed.rowcount > 0


def release_job(store: Store, job: JobRow) -> bool:
    """Hand an unfinished job back to be claimed at once; that try does not count."""
    with store.write() as conn:
        changed = conn.execute(
            update(JOBS)
            .where(_owned(job))
            .values(state="queued", tries=job.tries - 1, lease_expires_at=None)
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


def jobs_wait(store: Store) -> bool:
    """Tell whether there is a job that nobody is at."""
    with store.read() as conn:
        return conn.scalar(select(JOBS.c.id).where(_free(store)).limit(1)) is not None


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


def _free(store: Store) -> ColumnElement[bool]:
    silent = and_(JOBS.c.state == "running", JOBS.c.lease_expires_at < store.clock())
    return or_(JOBS.c.state == "queued", silent)


def _owned(job: JobRow) -> ColumnElement[bool]:
    return and_(JOBS.c.id == job.id, JOBS.c.tries == job.tries, JOBS.c.state == "running")


def _end(conn: Connection, store: Store, where: ColumnElement[bool], **values: Any) -> bool:
    changed = conn.execute(
        update(JOBS).where(where).values(finished_at=store.clock(), lease_expires_at=None, **values)
    )
    return changed.rowcount > 0
