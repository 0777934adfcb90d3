"""The sweeps that studies come from: which fields were swept, and how far a search is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from store.database import Store
from store.rows import SweepRow, TrialRow
from store.spec_fields import spec_fields
from store.study_tables import SWEEPS, TRIALS
from store.tables import RUNS
from store.values import is_id, plain_json
from trainer.sweeps.expand import Expansion
from trainer.sweeps.file import Sweep


def add_sweep(
    conn: Connection, study_id: int, expansion: Expansion, *, owner: str, priority: int
) -> None:
    """Keep a new study's sweep; of a search, its trials are yet to be asked for."""
    sweep = expansion.sweep
    conn.execute(
        insert(SWEEPS).values(
            study_id=study_id,
            kind=sweep.kind,
            sweep=plain_json(sweep.model_dump(mode="json")),
            paths=expansion.paths,
            owner=owner,
            priority=priority,
            state="searching" if sweep.kind == "search" else "launched",
            reason="",
        )
    )


def sweeps_of(conn: Connection, study_ids: Sequence[int]) -> dict[int, SweepRow]:
    """Return the sweeps of those studies that come from one."""
    trials: dict[int, list[TrialRow]] = {}
    query = select(TRIALS).where(TRIALS.c.study_id.in_(study_ids)).order_by(TRIALS.c.number)
    for row in conn.execute(query):
        trials.setdefault(row.study_id, []).append(TrialRow(**row._mapping))
    return {
        row.study_id: SweepRow(**row._mapping, trials=tuple(trials.get(row.study_id, ())))
        for row in conn.execute(select(SWEEPS).where(SWEEPS.c.study_id.in_(study_ids)))
    }


def sweep_of(row: SweepRow) -> Sweep:
    """Return what a study's sweep says."""
    return Sweep.model_validate(row.sweep)


def swept_paths(store: Store, study_id: int) -> list[str]:
    """Return the fields in which a study's runs differ by intent, in order.

    Of a sweep those of its space, the seed among them where there are several; of other studies
    those in which its runs' specs differ.
    """
    if not is_id(study_id):
        return []
    with store.read() as conn:
        paths: Any = conn.scalar(select(SWEEPS.c.paths).where(SWEEPS.c.study_id == study_id))
        if paths is not None:
            return list(paths)
        run_ids = conn.scalars(select(RUNS.c.id).where(RUNS.c.study_id == study_id)).all()
    found = list(spec_fields(store, run_ids).values())
    known = dict.fromkeys(path for fields in found for path in fields if path != "name")
    return [path for path in known if len({fields.get(path) for fields in found}) > 1]
