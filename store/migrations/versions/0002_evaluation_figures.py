"""Top-5 accuracy, macro averages and calibration error of an evaluation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = (
    "top5_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "calibration_error",
)


def upgrade() -> None:
    """Go from 0001 to 0002; evaluations that are there have none of the figures."""
    for name in COLUMNS:
        op.add_column("evaluations", sa.Column(name, sa.Float()))
