"""Datasets: registered by name, prepared by the interactive worker, used by runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from store.columns import fresh
from store.database import Store
from store.rows import DatasetRow
from store.states import TERMINAL
from store.tables import DATASETS, RUNS, Dataset
from store.values import is_id
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound, nearest

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
KINDS = ("catalogue", "folder", "upload")
NAMED_RUNS = 10
"""Runs that a refusal lists by number."""


def check_name(name: str) -> None:
    """Check that a dataset can have that name.

    Raises:
        InvalidInput: If it cannot.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput.of(
            FieldError(
                "name",
                name,
                "1 to 64 of a–z, 0–9, dot, dash and underscore, the first a letter or digit",
            )
        )


def register_dataset(
    store: Store,
    name: str,
    kind: str,
    source: str,
    owner: str,
    title: str = "",
    *,
    labelled: bool = True,
) -> DatasetRow:
    """Note a dataset to be prepared, and return it.

    The same name with the same kind and source returns the one there is; had its preparation
    failed, it is to be tried again.

    Args:
        labelled: Whether its images have classes; a collection to be classified has none.

    Raises:
        InvalidInput: If the name cannot be one, or the kind is unknown.
        Conflict: If the name belongs to other data.
    """
    check_name(name)
    if kind not in KINDS:
        raise InvalidInput.of(FieldError("kind", kind, "one of " + ", ".join(KINDS)))
    values = {"kind": kind, "source": source, "owner": owner, "title": title, "labelled": labelled}
    try:
        return _register(store, name, values)
    except IntegrityError:  # somebody registered the name at the same moment
        return _register(store, name, values)


def claim_preparation(store: Store, lease_s: float) -> DatasetRow | None:
    """Take the oldest dataset to be prepared that nobody is preparing; None if there is none."""
    with store.write() as conn:
        oldest = (
            select(DATASETS.c.id)
            .where(DATASETS.c.status == "preparing", _free(store))
            .order_by(DATASETS.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        return _change(
            conn,
            (DATASETS.c.id == oldest) & _free(store),
            lease_expires_at=store.clock() + lease_s,
            progress={},
        )


def beat_preparation(
    store: Store, dataset_id: int, progress: Mapping[str, Any], lease_s: float
) -> bool:
    """Keep a preparation's lease and say how far it is; False if it is no longer wanted."""
    with store.write() as conn:
        changed = _change(
            conn,
            _preparing(dataset_id),
            progress=dict(progress),
            lease_expires_at=store.clock() + lease_s,
        )
    return changed is not None


def dataset_ready(
    store: Store, dataset_id: int, fingerprint: str, summary: Mapping[str, Any]
) -> bool:
    """Say that a dataset can be used; False if it was deleted or done in the meantime."""
    with store.write() as conn:
        changed = _change(
            conn,
            _preparing(dataset_id),
            status="ready",
            fingerprint=fingerprint,
            summary=dict(summary),
            progress={},
            lease_expires_at=None,
            error=None,
        )
    return changed is not None


def note_duplicates(store: Store, dataset_id: int, found: Mapping[str, Any]) -> None:
    """Keep how many duplicates were found in a dataset that was ready before anybody looked."""
    with store.write() as conn:
        mine = DATASETS.c.id == dataset_id
        summary = conn.scalar(select(DATASETS.c.summary).where(mine).with_for_update())
        if summary:
            whole = {**summary, "duplicates": dict(found)}
            conn.execute(update(DATASETS).where(mine).values(summary=whole))


def dataset_failed(store: Store, dataset_id: int, error: Mapping[str, Any]) -> bool:
    """Say that a dataset cannot be prepared; False if it was deleted or done in the meantime.

    Its waiting runs are failed by `lifecycle.fail_queued_for_dataset`.
    """
    with store.write() as conn:
        changed = _change(
            conn,
            _preparing(dataset_id),
            status="failed",
            error=dict(error),
            lease_expires_at=None,
        )
    return changed is not None


def get_dataset(store: Store, name: str) -> DatasetRow:
    """Return the dataset of that name, or the one that was called so before.

    Raises:
        NotFound: If there is none; the remedy names the nearest.
    """
    with store.read() as conn:
        found = _one(conn, DATASETS.c.name == current_name(conn, name))
        if found is not None:
            return found
        known = conn.scalars(select(DATASETS.c.name)).all()
    raise NotFound(f"There is no dataset `{name}`.", nearest(name, known))


def current_name(conn: Connection, name: str, *, hold: bool = False) -> str:
    """Return what the dataset is called now that is, or once was, called `name`.

    A name that nobody has or had is returned as it is; one that two datasets had before goes
    with the newer one.

    Args:
        hold: Keep the datasets from being renamed until the end of the transaction.
    """
    exact = select(DATASETS.c.name).where(DATASETS.c.name == name)
    every = select(DATASETS.c.name, DATASETS.c.former_names).order_by(DATASETS.c.id.desc())
    if hold:
        exact, every = exact.with_for_update(read=True), every.with_for_update(read=True)
    if conn.scalar(exact) is not None:
        return name
    return next((now for now, former in conn.execute(every) if name in former), name)


def get_dataset_by_id(store: Store, dataset_id: int) -> DatasetRow:
    """Return a dataset.

    Raises:
        NotFound: If there is none of that id.
    """
    if is_id(dataset_id):
        with store.read() as conn:
            found = _one(conn, DATASETS.c.id == dataset_id)
        if found is not None:
            return found
    raise NotFound(f"There is no dataset {dataset_id}.")


def list_datasets(store: Store, *, labelled: bool | None = None) -> list[DatasetRow]:
    """Return datasets by name: all, only those with classes, or only collections without."""
    query = select(DATASETS).order_by(DATASETS.c.name)
    if labelled is not None:
        query = query.where(DATASETS.c.labelled == labelled)
    with store.read() as conn:
        return [DatasetRow(**row._mapping) for row in conn.execute(query)]


def delete_dataset(store: Store, name: str) -> DatasetRow:
    """Remove a dataset's row and return it; its files are the caller's to remove.

    Raises:
        NotFound: If there is none of that name.
        Conflict: If live runs use it; the message names them.
    """
    found = get_dataset(store, name)
    with store.write() as conn:
        live = conn.scalars(
            select(RUNS.c.id).where(_live(found.name)).order_by(RUNS.c.id).limit(NAMED_RUNS + 1)
        ).all()
        if live:
            named = ", ".join(str(run_id) for run_id in live[:NAMED_RUNS])
            more = " and more" if len(live) > NAMED_RUNS else ""
            raise Conflict(
                f"Dataset `{found.name}` is used by {'runs' if len(live) > 1 else 'run'} "
                f"{named}{more}.",
                "Cancel them, or wait for their end.",
            )
        row = conn.execute(
            delete(DATASETS).where(DATASETS.c.id == found.id).returning(*DATASETS.c)
        ).one_or_none()
    if row is None:
        raise NotFound(f"There is no dataset `{name}`.")
    return DatasetRow(**row._mapping)


def _register(store: Store, name: str, values: Mapping[str, Any]) -> DatasetRow:
    with store.write() as conn:
        found = _one(conn, DATASETS.c.name == name)
        if found is None:
            created = fresh(
                Dataset, name=name, status="preparing", created_at=store.clock(), **values
            )
            row = conn.execute(insert(DATASETS).values(**created).returning(*DATASETS.c)).one()
            return DatasetRow(**row._mapping)
        given = (values["kind"], values["source"], values["labelled"])
        if (found.kind, found.source, found.labelled) != given:
            raise Conflict(
                f"There is a dataset `{name}` already, made from {found.kind} `{found.source}`.",
                "Choose another name, or delete that one.",
            )
        if found.status != "failed":
            return found
        again = _change(
            conn,
            (DATASETS.c.id == found.id) & (DATASETS.c.status == "failed"),
            status="preparing",
            error=None,
            progress={},
        )
        return again or found


def _live(name: str) -> ColumnElement[bool]:
    """Return the condition of runs on a dataset that have not ended and that we run."""
    ended = [str(status) for status in TERMINAL]
    return (RUNS.c.dataset_name == name) & RUNS.c.status.not_in(ended) & ~RUNS.c.external


def _preparing(dataset_id: int) -> ColumnElement[bool]:
    return (DATASETS.c.id == dataset_id) & (DATASETS.c.status == "preparing")


def _free(store: Store) -> ColumnElement[bool]:
    lease = DATASETS.c.lease_expires_at
    return or_(lease.is_(None), lease < store.clock())


def _change(conn: Connection, where: ColumnElement[bool], **values: Any) -> DatasetRow | None:
    row = conn.execute(
        update(DATASETS).where(where).values(**values).returning(*DATASETS.c)
    ).one_or_none()
    return None if row is None else DatasetRow(**row._mapping)


def _one(conn: Connection, where: ColumnElement[bool]) -> DatasetRow | None:
    row = conn.execute(select(DATASETS).where(where)).one_or_none()
    return None if row is None else DatasetRow(**row._mapping)
