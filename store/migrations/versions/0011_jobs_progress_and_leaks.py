"""Jobs with a hand, a dataset and progress; runs launched though images leak."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Go from 0010 to 0011; jobs that are there are quick ones, no leak is acknowledged."""
    op.add_column("jobs", sa.Column("hand", sa.String(), nullable=False, server_default="quick"))
    op.add_column(
        "jobs", sa.Column("device_wanted", sa.String(), nullable=False, server_default="auto")
    )
    op.add_column("jobs", sa.Column("dataset_id", sa.Integer()))
    op.add_column("jobs", sa.Column("progress", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column(
        "runs",
        sa.Column("leaks_acknowledged", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
