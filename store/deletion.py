"""Runs removed for good: every row about them in one transaction, then their folders.

The transaction that removes the rows notes the folders, and the note goes when the folder has
gone: a crash between leaves folders that `remove_leftovers` finds. A folder without a note is
never touched.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import Column, Connection, Table, delete, insert, or_, select, update
from sqlmodel import SQLModel

from store.database import Store, Unavailable
from store.settings import Settings
from store.states import TERMINAL
from store.study_tables import STUDIES, STUDY_STEPS, SWEEPS
from store.tables import COMPARISONS, JOBS, LEFTOVERS, RUNS
from store.values import is_id

BATCH = 100
"""Runs removed in one transaction: others wait no longer for theirs."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deletion:
    """What a deletion removes, or would remove."""

    run_ids: tuple[int, ...] = ()
    refused: dict[int, str] = field(default_factory=dict)
    """Runs that stay, and why."""
    freed_bytes: int = 0
    studies: tuple[str, ...] = ()
    """Names of studies that lose members."""
    comparisons: tuple[str, ...] = ()
    """Names of saved comparisons that lose runs; one left without any goes too."""
    jobs: int = 0
    """Predictions, exports and other work on their models that goes with them."""
    children: tuple[int, ...] = ()
    """Runs that continued them, and stay with all they have."""

    def __add__(self, other: Deletion) -> Deletion:
        gone = {*self.run_ids, *other.run_ids}
        return Deletion(
            self.run_ids + other.run_ids,
            self.refused | other.refused,
            self.freed_bytes + other.freed_bytes,
            tuple(dict.fromkeys(self.studies + other.studies)),
            tuple(dict.fromkeys(self.comparisons + other.comparisons)),
            self.jobs + other.jobs,
            tuple(one for one in self.children + other.children if one not in gone),
        )


def look_at_deletion(store: Store, settings: Settings, run_ids: Sequence[int]) -> Deletion:
    """Return what deleting those runs would do; nothing is changed."""
    with store.read() as conn:
        refused, known = _sorted_out(conn, run_ids, lock=False)
        jobs = _jobs(conn, known)
        return Deletion(
            tuple(known),
            refused,
            sum(map(folder_bytes, _folders(settings, known, jobs))),
            _study_names(conn, known),
            tuple(name for _, name, _ in _touched_comparisons(conn, known)),
            len(jobs),
            _children(conn, known),
        )


def delete_runs(store: Store, settings: Settings, run_ids: Sequence[int]) -> Deletion:
    """Remove runs, all that refers to them, and their files; live ones are refused."""
    done = Deletion()
    ids = sorted(set(run_ids))
    for start in range(0, len(ids), BATCH):
        with store.write() as conn:
            part = _delete_rows(conn, ids[start : start + BATCH])
        done += Deletion(**{**vars(part.said), "freed_bytes": _remove(store, settings, part.paths)})
    return done


def remove_leftovers(store: Store, settings: Settings) -> int:
    """Remove the folders of deleted runs that a crash left; return how many bytes that freed."""
    try:
        with store.read() as conn:
            paths = list(conn.scalars(select(LEFTOVERS.c.path)))
        return _remove(store, settings, paths) if paths else 0
    except Unavailable as error:
        log.warning("Could not look for folders of deleted runs: %s", error)
        return 0


def folder_bytes(folder: Path) -> int:
    """Return the size of a folder's files; one with several names counts once."""
    total, seen = 0, set()
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(place, name))
            except OSError:
                continue  # it went away
            if found.st_nlink == 1 or (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return total


@dataclass(frozen=True)
class _Deleted:
    said: Deletion
    paths: list[str]


def _delete_rows(conn: Connection, run_ids: Sequence[int]) -> _Deleted:
    refused, known = _sorted_out(conn, run_ids, lock=True)
    jobs = _jobs(conn, known)
    said = Deletion(
        tuple(known),
        refused,
        studies=_study_names(conn, known),
        comparisons=_without(conn, known),
        jobs=len(jobs),
        children=_children(conn, known),
    )
    if not known:
        return _Deleted(said, [])
    for column in _references():
        if column.nullable and column.table is RUNS:
            conn.execute(update(RUNS).where(column.in_(known)).values({column: None}))
        else:
            conn.execute(delete(column.table).where(column.in_(known)))
    conn.execute(delete(RUNS).where(RUNS.c.id.in_(known)))
    paths = [*(f"runs/{run_id}" for run_id in known), *(f"jobs/{job_id}" for job_id in jobs)]
    conn.execute(insert(LEFTOVERS), [{"path": path} for path in paths])
    return _Deleted(said, paths)


def _references() -> list[Column[int]]:
    """Return every column that holds the number of a run, those of later tables first."""
    tables: Iterable[Table] = reversed(SQLModel.metadata.sorted_tables)
    return [
        column
        for table in tables
        for column in table.c
        if any(key.column is RUNS.c.id for key in column.foreign_keys)
    ]


def _sorted_out(
    conn: Connection, run_ids: Sequence[int], *, lock: bool
) -> tuple[dict[int, str], list[int]]:
    """Return the runs that must stay, with the reason, and those that may go."""
    query = select(RUNS.c.id, RUNS.c.status).where(
        RUNS.c.id.in_([run_id for run_id in set(run_ids) if is_id(run_id)])
    )
    query = query.order_by(RUNS.c.id)
    rows = conn.execute(query.with_for_update() if lock else query).all()
    refused = {
        row.id: f"It is {row.status}; cancel it first."
        for row in rows
        if row.status not in TERMINAL
    }
    known = [row.id for row in rows if row.id not in refused]
    for reasons in (_chosen_from(conn, known), _begun_with(conn, known)):
        refused |= reasons
    return refused, [run_id for run_id in known if run_id not in refused]


def _chosen_from(conn: Connection, run_ids: Sequence[int]) -> dict[int, str]:
    """Return the runs that a later step or trial of their study may still be chosen by."""
    unfinished = (
        select(STUDY_STEPS.c.study_id)
        .where(STUDY_STEPS.c.state.in_(("waiting", "running")))
        .union(select(SWEEPS.c.study_id).where(SWEEPS.c.state.in_(("searching", "stopping"))))
    )
    query = (
        select(RUNS.c.id, STUDIES.c.name)
        .join(STUDIES, STUDIES.c.id == RUNS.c.study_id)
        .where(RUNS.c.id.in_(run_ids), RUNS.c.study_id.in_(unfinished))
    )
    return {
        run_id: f"Study “{name}” has steps to come that may choose it; wait for its end."
        for run_id, name in conn.execute(query)
    }


def _begun_with(conn: Connection, run_ids: Sequence[int]) -> dict[int, str]:
    """Return the runs whose checkpoint a live run needs to begin with."""
    query = select(RUNS.c.continues_run, RUNS.c.id).where(
        RUNS.c.continues_run.in_(run_ids),
        RUNS.c.status.not_in([str(status) for status in TERMINAL]),
        RUNS.c.checkpoint_attempt.is_(None),
    )
    return {
        parent: f"Run {child} will begin with its checkpoint; wait until it has one of its own."
        for parent, child in conn.execute(query)
    }


def _children(conn: Connection, run_ids: Sequence[int]) -> tuple[int, ...]:
    """Return the runs that continued those, and stay."""
    query = select(RUNS.c.id).where(RUNS.c.continues_run.in_(run_ids), RUNS.c.id.not_in(run_ids))
    return tuple(conn.scalars(query.order_by(RUNS.c.id)))


def _jobs(conn: Connection, run_ids: Sequence[int]) -> list[int]:
    return list(conn.scalars(select(JOBS.c.id).where(JOBS.c.run_id.in_(run_ids))))


def _study_names(conn: Connection, run_ids: Sequence[int]) -> tuple[str, ...]:
    ids = select(RUNS.c.study_id).where(RUNS.c.id.in_(run_ids))
    query = select(STUDIES.c.name).where(STUDIES.c.id.in_(ids)).order_by(STUDIES.c.id)
    return tuple(conn.scalars(query))


def _touched_comparisons(conn: Connection, run_ids: Sequence[int]) -> list[tuple[int, str, str]]:
    """Return the number, name and new query of every saved comparison that names the runs."""
    gone = {str(run_id) for run_id in run_ids}
    if not gone:
        return []
    found = []
    several = len(gone) > BATCH
    named = [COMPARISONS.c.query.contains(f"={run_id}", autoescape=True) for run_id in gone]
    query = select(COMPARISONS.c.id, COMPARISONS.c.name, COMPARISONS.c.query)
    for row in conn.execute(query if several else query.where(or_(*named))):
        pairs = parse_qsl(row.query, keep_blank_values=True)
        kept = [pair for pair in pairs if not gone & set(pair[1].split(","))]
        if kept != pairs and any(key == "run" and value in gone for key, value in pairs):
            left = any(key == "run" for key, _ in kept)
            found.append((row.id, row.name, urlencode(kept) if left else ""))
    return found


def _without(conn: Connection, run_ids: Sequence[int]) -> tuple[str, ...]:
    """Take the runs out of saved comparisons; return the names of those."""
    touched = _touched_comparisons(conn, run_ids)
    for comparison_id, _, query in touched:
        where = COMPARISONS.c.id == comparison_id
        if query:
            conn.execute(update(COMPARISONS).where(where).values(query=query))
        else:
            conn.execute(delete(COMPARISONS).where(where))
    return tuple(name for _, name, _ in touched)


def _folders(settings: Settings, run_ids: Sequence[int], job_ids: Sequence[int]) -> list[Path]:
    return [*map(settings.run_dir, run_ids), *map(settings.job_dir, job_ids)]


def _remove(store: Store, settings: Settings, paths: Sequence[str]) -> int:
    """Remove folders and their notes; return how many bytes they held."""
    freed, gone = 0, []
    for path in paths:
        folder = settings.data_dir / path
        freed += folder_bytes(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            log.warning("Could not remove %s; the next look will try again", folder)
        else:
            gone.append(path)
    for start in range(0, len(gone), BATCH):
        with store.write() as conn:
            conn.execute(delete(LEFTOVERS).where(LEFTOVERS.c.path.in_(gone[start : start + BATCH])))
    return freed
