"""What the authors of a recipe reported of a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go from 0003 to 0004; runs that are there come from nobody's recipe."""
    op.add_column("runs", sa.Column("published", sa.JSON()))
