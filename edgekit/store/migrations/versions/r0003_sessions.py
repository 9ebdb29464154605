"""Which measurements were made in turn, in one session. Of older rows only their bodies say so;
they stay as they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "measurements", sa.Column("session", sa.String(32), nullable=False, server_default="")
    )
    op.create_index("measurements_by_session", "measurements", ["session"])
