"""Runs that are to be paused, and runs that continue others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Go from 0006 to 0007; nobody has asked runs that are there to pause."""
    op.add_column(
        "runs",
        sa.Column("pause_requested", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("runs", sa.Column("continues_run", sa.Integer()))
    op.add_column("runs", sa.Column("continues_epoch", sa.Integer()))
    op.create_index("ix_runs_continues_run", "runs", ["continues_run"])
