"""What people put on runs to find them again: tags, the shelf of archived runs, baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from store.database import Store, upsert
from store.states import TERMINAL
from store.tables import BASELINES, RUN_TAGS, RUNS
from store.values import is_id
from trainer.errors import Conflict, FieldError, InvalidInput, NotFound

TAG_LIMIT = 60  # characters
TAGS_LIMIT = 20  # on one run


@dataclass(frozen=True)
class Labels:
    """What is on one run."""

    tags: tuple[str, ...] = ()
    pinned: bool = False
    """Whether it is its dataset's baseline."""


def labels(store: Store, run_ids: Sequence[int]) -> dict[int, Labels]:
    """Return what is on those runs; those with nothing are left out."""
    tagged = (
        select(RUN_TAGS.c.run_id, RUN_TAGS.c.tag)
        .where(RUN_TAGS.c.run_id.in_(run_ids))
        .order_by(RUN_TAGS.c.tag)
    )
    tags: dict[int, list[str]] = {}
    with store.read() as conn:
        for run_id, tag in conn.execute(tagged):
            tags.setdefault(run_id, []).append(tag)
        pinned = set(
            conn.scalars(select(BASELINES.c.run_id).where(BASELINES.c.run_id.in_(run_ids)))
        )
    return {
        run_id: Labels(tuple(tags.get(run_id, ())), run_id in pinned)
        for run_id in pinned | tags.keys()
    }


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags without space around them, each once.

    Raises:
        InvalidInput: If one is empty, too long or holds a comma.
    """
    found = dict.fromkeys(" ".join(tag.split()) for tag in tags)
    for tag in found:
        if not 1 <= len(tag) <= TAG_LIMIT or "," in tag:
            raise InvalidInput.of(
                FieldError("tags", tag[:80], f"1 to {TAG_LIMIT} characters without a comma")
            )
    return tuple(found)


def change_tags(
    store: Store, run_ids: Sequence[int], add: Iterable[str] = (), remove: Iterable[str] = ()
) -> list[int]:
    """Put tags on runs and take others off; return the runs that exist.

    Raises:
        InvalidInput: If a tag cannot be one, or a run would have too many.
    """
    new, old = checked_tags(add), checked_tags(remove)
    with store.write() as conn:
        known = _locked(conn, run_ids)
        if old:
            conn.execute(
                delete(RUN_TAGS).where(RUN_TAGS.c.run_id.in_(known), RUN_TAGS.c.tag.in_(old))
            )
        _add_tags(conn, known, new)
    return known


def set_tags(store: Store, run_id: int, tags: Iterable[str]) -> None:
    """Replace a run's tags.

    Raises:
        InvalidInput: If a tag cannot be one, or there are too many.
        NotFound: If there is no such run.
    """
    new = checked_tags(tags)
    with store.write() as conn:
        known = _existing(conn, run_id)
        conn.execute(delete(RUN_TAGS).where(RUN_TAGS.c.run_id.in_(known)))
        _add_tags(conn, known, new)


def archive(store: Store, run_ids: Sequence[int], *, shelved: bool = True) -> list[int]:
    """Put ended runs out of the lists, or back; return those that were moved or were there.

    Live runs stay in the lists: somebody must see what is using a machine.
    """
    with store.write() as conn:
        known = _locked(conn, run_ids, ended=shelved)
        changed = RUNS.c.archived_at.is_(None) if shelved else RUNS.c.archived_at.is_not(None)
        conn.execute(
            update(RUNS)
            .where(RUNS.c.id.in_(known), changed)
            .values(archived_at=store.clock() if shelved else None)
        )
    return known


def pin(store: Store, run_id: int, *, pinned: bool = True) -> None:
    """Make a run its dataset's baseline, in place of another; or no longer.

    Raises:
        NotFound: If there is no such run.
        Conflict: If it is archived.
    """
    with store.write() as conn:
        _existing(conn, run_id)
        row = conn.execute(
            select(RUNS.c.dataset_name, RUNS.c.archived_at).where(RUNS.c.id == run_id)
        ).one()
        if not pinned:
            conn.execute(delete(BASELINES).where(BASELINES.c.run_id == run_id))
            return
        if row.archived_at is not None:
            raise Conflict(
                f"Run {run_id} is archived; a baseline is shown on top of the list.",
                "Take it out of the archive first.",
            )
        upsert(
            conn,
            BASELINES,
            [{"dataset_name": row.dataset_name, "run_id": run_id}],
            ("dataset_name",),
        )


def baselines(store: Store) -> dict[str, int]:
    """Return each dataset's baseline, by the dataset's name; archived ones are left out."""
    query = (
        select(BASELINES.c.dataset_name, BASELINES.c.run_id)
        .join(RUNS, RUNS.c.id == BASELINES.c.run_id)
        .where(RUNS.c.archived_at.is_(None))
        .order_by(BASELINES.c.dataset_name)
    )
    with store.read() as conn:
        return {row.dataset_name: row.run_id for row in conn.execute(query)}


def _existing(conn: Connection, run_id: int) -> list[int]:
    known = _locked(conn, [run_id])
    if not known:
        raise NotFound(f"There is no run {run_id}.")
    return known


def _locked(conn: Connection, run_ids: Sequence[int], *, ended: bool = False) -> list[int]:
    """Return which of the runs exist, and have ended if asked for, their rows locked."""
    query = select(RUNS.c.id).where(RUNS.c.id.in_([one for one in run_ids if is_id(one)]))
    if ended:
        query = query.where(RUNS.c.status.in_([str(status) for status in TERMINAL]))
    return list(conn.scalars(query.order_by(RUNS.c.id).with_for_update()))


def _add_tags(conn: Connection, run_ids: Sequence[int], tags: Sequence[str]) -> None:
    rows = [{"run_id": run_id, "tag": tag} for run_id in run_ids for tag in tags]
    if not rows:
        return
    there = conn.execute(
        select(RUN_TAGS.c.run_id, RUN_TAGS.c.tag).where(
            RUN_TAGS.c.run_id.in_(run_ids), RUN_TAGS.c.tag.in_(tags)
        )
    )
    known = {(run_id, tag) for run_id, tag in there}
    new = [row for row in rows if (row["run_id"], row["tag"]) not in known]
    if new:
        conn.execute(insert(RUN_TAGS), new)
    crowded = conn.execute(
        select(RUN_TAGS.c.run_id, func.count())
        .where(RUN_TAGS.c.run_id.in_(run_ids))
        .group_by(RUN_TAGS.c.run_id)
        .having(func.count() > TAGS_LIMIT)
    ).first()
    if crowded is not None:
        raise InvalidInput.of(
            FieldError(
                "tags",
                list(tags),
                f"at most {TAGS_LIMIT} on one run",
                f"Run {crowded[0]} would have {crowded[1]}.",
            )
        )
