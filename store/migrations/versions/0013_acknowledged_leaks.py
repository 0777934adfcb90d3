"""Studies whose runs are launched though images leak."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Go from 0012 to 0013; nothing is acknowledged for the studies that are there."""
    op.add_column(
        "studies",
        sa.Column("leaks_acknowledged", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
