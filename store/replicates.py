"""Runs of the same settings: specs that differ in nothing but the seed and the name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import exists, select

from store.database import Store
from store.rows import RunRow
from store.runs import runs_by_ids
from store.tables import RUNS, SPEC_FIELDS


def settings_key(run: RunRow) -> str:
    """Return a text that is equal for runs of the same settings, and for no others."""
    return _key(run.spec, run.external)


def replicates(store: Store, run: RunRow) -> list[RunRow]:
    """Return the runs with the settings of `run`, itself among them, oldest first."""
    # The architecture narrows the search by an index; whole specs decide.
    same_architecture = exists().where(
        SPEC_FIELDS.c.run_id == RUNS.c.id,
        SPEC_FIELDS.c.path == "model.architecture",
        SPEC_FIELDS.c.text == run.spec["model"]["architecture"],
    )
    query = select(RUNS.c.id, RUNS.c.spec).where(
        RUNS.c.dataset_name == run.dataset_name,
        RUNS.c.external == run.external,
        RUNS.c.epochs == run.epochs,
        same_architecture,
    )
    wanted = settings_key(run)
    with store.read() as conn:
        found = [row.id for row in conn.execute(query) if _key(row.spec, run.external) == wanted]
    return runs_by_ids(store, sorted(found))


def _key(spec: Mapping[str, Any], external: bool) -> str:
    training = {key: value for key, value in spec["training"].items() if key != "seed"}
    rest = {key: value for key, value in spec.items() if key not in {"name", "training"}}
    return json.dumps([rest, training, external], sort_keys=True)
