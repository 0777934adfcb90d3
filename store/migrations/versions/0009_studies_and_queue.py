"""Studies stop and tell webhooks, waiting runs have places, workers are asked to drain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Go from 0008 to 0009."""
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("lease_expires_at", sa.Float(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("outcomes", sa.JSON(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deliveries_due", "deliveries", ["state", "due_at"])
    op.create_index("ix_deliveries_study_id", "deliveries", ["study_id"])
    op.add_column("runs", sa.Column("place", sa.Float(), nullable=True))
    op.create_index("ix_runs_finished_at", "runs", ["finished_at"])
    op.add_column("studies", sa.Column("stopped_at", sa.Float(), nullable=True))
    op.add_column("studies", sa.Column("ended_at", sa.Float(), nullable=True))
    op.add_column("studies", sa.Column("webhook_url", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "studies", sa.Column("webhook_secret", sa.String(), server_default="", nullable=False)
    )
    op.add_column("studies", sa.Column("webhook_runs_since", sa.Float(), nullable=True))
    op.create_index("ix_studies_ended_at", "studies", ["ended_at"])
    op.add_column(
        "workers",
        sa.Column("drain_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
