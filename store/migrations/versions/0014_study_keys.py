"""Keys by which a request for a study is known when it is sent again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Go from 0013 to 0014; studies that are there have no key."""
    op.add_column("studies", sa.Column("idempotency_key", sa.Text()))
    op.add_column("studies", sa.Column("request_digest", sa.String()))
    op.create_index("uq_studies_idempotency", "studies", ["owner", "idempotency_key"], unique=True)
