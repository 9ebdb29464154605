"""Baselines by name. The newest row of a name counts; rows are added and deleted, never changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "baselines",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("bundle_name", sa.Text, nullable=False),
        sa.Column("bundle_id", sa.String(64), nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
    )
    op.create_index("baselines_by_name", "baselines", ["name", "created"])
    dialect = op.get_bind().dialect.name
    if dialect == "sqlite":
        op.execute(
            "CREATE TRIGGER baselines_append_only BEFORE UPDATE ON baselines BEGIN SELECT"
            " RAISE(ABORT, 'results are append-only'); END"
        )
    elif dialect == "postgresql":
        op.execute(
            "CREATE TRIGGER baselines_append_only BEFORE UPDATE ON baselines FOR EACH ROW EXECUTE"
            " FUNCTION edgekit_append_only()"
        )
