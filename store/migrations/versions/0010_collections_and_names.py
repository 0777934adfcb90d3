"""Collections of images without classes; descriptions and former names of datasets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Go from 0009 to 0010; datasets that are there have classes and were never renamed."""
    op.add_column(
        "datasets", sa.Column("labelled", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    op.add_column(
        "datasets", sa.Column("description", sa.Text(), nullable=False, server_default="")
    )
    op.add_column(
        "datasets", sa.Column("former_names", sa.JSON(), nullable=False, server_default="[]")
    )
