"""How long epochs took in runs of an architecture, to tell what the next will take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, select

from store.database import Store
from store.series import each_series
from store.tables import RUNS, SPEC_FIELDS

RUNS_LOOKED_AT = 60  # the newest of an architecture
EPOCH_SERIES = "val_accuracy"
"""Has one point for each epoch, whose elapsed seconds are those at the epoch's end."""


@dataclass(frozen=True)
class Timing:
    """The epochs of one run; seconds are of training, without gaps between attempts."""

    run_id: int
    spec: dict[str, Any]
    split_sizes: dict[str, int]
    """Images per split."""
    resolved: dict[str, Any]
    """Device, precision, input size and other choices."""
    first_epoch_s: float
    """With everything before it: building, computing features."""
    epoch_s: float | None
    """Of the epochs after the first, on average; None where there were none."""


def timings(store: Store, architecture: str) -> list[Timing]:
    """Return what runs of an architecture measured here, newest first; external ones left out."""
    query = (
        select(RUNS.c.id, RUNS.c.spec, RUNS.c.started)
        .join(
            SPEC_FIELDS,
            and_(SPEC_FIELDS.c.run_id == RUNS.c.id, SPEC_FIELDS.c.path == "model.architecture"),
        )
        .where(SPEC_FIELDS.c.text == architecture, RUNS.c.epoch > 0, ~RUNS.c.external)
        .order_by(RUNS.c.id.desc())
        .limit(RUNS_LOOKED_AT)
    )
    with store.read() as conn:
        rows = conn.execute(query).all()
    ends = {
        run_id: columns[0]
        for run_id, _, columns in each_series(
            store, [row.id for row in rows], [EPOCH_SERIES], ["elapsed"]
        )
    }
    found = []
    for row in rows:
        elapsed = ends.get(row.id)
        if not elapsed or "split_sizes" not in row.started or "resolved" not in row.started:
            continue
        later = (elapsed[-1] - elapsed[0]) / (len(elapsed) - 1) if len(elapsed) > 1 else None
        found.append(
            Timing(
                row.id,
                row.spec,
                row.started["split_sizes"],
                row.started["resolved"],
                elapsed[0],
                later,
            )
        )
    return found
