"""Sweeps of studies, and the trials of searches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Go from 0011 to 0012; studies that are there have no sweep."""
    op.create_table(
        "sweeps",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sweep", sa.JSON(), nullable=False),
        sa.Column("paths", sa.JSON(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"]),
        sa.PrimaryKeyConstraint("study_id"),
    )
    op.create_index("ix_sweeps_kind", "sweeps", ["kind"])
    op.create_index("ix_sweeps_state", "sweeps", ["state"])
    op.create_table(
        "trials",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer()),
        sa.Column("drawn", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("value", sa.Float()),
        sa.Column("judged_epoch", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["sweeps.study_id"]),
        sa.PrimaryKeyConstraint("study_id", "number"),
    )
    op.create_index("ix_trials_run_id", "trials", ["run_id"])
