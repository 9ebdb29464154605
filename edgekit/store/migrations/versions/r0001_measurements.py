"""Measurements, their bodies, results per artifact and raw samples. Rows cannot be changed, only
added and deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("measurements", "measurement_bodies", "artifact_results", "run_samples")


def upgrade() -> None:
    op.create_table(
        "measurements",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("bundle_name", sa.Text, nullable=False),
        sa.Column("bundle_id", sa.String(64), nullable=False),
        sa.Column("recipe_sha256", sa.String(64), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("target_kind", sa.String(16), nullable=False),
        sa.Column("machine", sa.Text),
        sa.Column("edgekit_version", sa.String(64), nullable=False),
        sa.Column("artifacts", sa.Text, nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("quick", sa.Boolean, nullable=False),
        sa.Column("valid", sa.Boolean, nullable=False),
        sa.Column("timings", sa.String(16), nullable=False),
        sa.Column("failure", sa.Text, nullable=False),
    )
    op.create_index("measurements_by_time", "measurements", ["created", "id"])
    op.create_table(
        "measurement_bodies", _measurement_id(), sa.Column("body", sa.LargeBinary, nullable=False)
    )
    op.create_table(
        "artifact_results",
        _measurement_id(),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("artifact", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("runtime_version", sa.Text),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("samples", sa.BigInteger, nullable=False),
        sa.Column("p50_ns", sa.Float),
        sa.Column("p50_low_ns", sa.Float),
        sa.Column("p50_high_ns", sa.Float),
        sa.Column("p90_ns", sa.Float),
        sa.Column("p99_ns", sa.Float),
        sa.Column("peak_bytes", sa.BigInteger),
    )
    op.create_index("artifact_results_by_content", "artifact_results", ["sha256"])
    op.create_table(
        "run_samples",
        _measurement_id(),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("run", sa.Integer, primary_key=True),
        sa.Column("phase", sa.String(8), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    _forbid_updates(op.get_bind().dialect.name)


def _measurement_id() -> sa.Column[str]:
    return sa.Column(
        "measurement_id",
        sa.String(32),
        sa.ForeignKey("measurements.id", ondelete="CASCADE"),
        primary_key=True,
    )


def _forbid_updates(dialect: str) -> None:
    if dialect == "postgresql":
        op.execute(
            "CREATE FUNCTION edgekit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'results are append-only'; END $$"
        )
    for table in TABLES:
        if dialect == "sqlite":
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} BEGIN SELECT"
                " RAISE(ABORT, 'results are append-only'); END"
            )
        elif dialect == "postgresql":
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE"
                " FUNCTION edgekit_append_only()"
            )
