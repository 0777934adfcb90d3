"""An index in the order in which queued runs are taken.

On SQLite a migration that makes the table anew (`batch_alter_table`) has to make this one anew too:
Alembic does not see indexes of expressions there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Go from 0014 to 0015; the index that held another order goes."""
    op.drop_index("ix_runs_claim", "runs")
    order = [sa.text("priority DESC"), sa.text("coalesce(place, id)")]
    op.create_index("ix_runs_queue", "runs", ["status", *order, "id"])
