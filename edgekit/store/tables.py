"""The tables of the results database. Lists read the narrow ones; bodies and samples are compressed
and read one measurement at a time.

A change here needs a new revision in migrations/versions, and its id in HEAD.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

HEAD = "0003"
VERSION_TABLE = "edgekit_schema"

metadata = MetaData()


def _measurement_id() -> Column[str]:
    return Column(
        "measurement_id",
        String(32),
        ForeignKey("measurements.id", ondelete="CASCADE"),
        primary_key=True,
    )


measurements = Table(
    "measurements",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("bundle_name", Text, nullable=False),
    Column("bundle_id", String(64), nullable=False),
    Column("recipe_sha256", String(64), nullable=False),
    Column("target", Text, nullable=False),
    Column("target_kind", String(16), nullable=False),
    Column("machine", Text),
    Column("edgekit_version", String(64), nullable=False),
    Column("artifacts", Text, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("quick", Boolean, nullable=False),
    Column("valid", Boolean, nullable=False),
    Column("timings", String(16), nullable=False),
    Column("failure", Text, nullable=False),
    Column("session", String(32), nullable=False, server_default=""),
    Index("measurements_by_time", "created", "id"),
    Index("measurements_by_session", "session"),
)

bodies = Table(
    "measurement_bodies",
    metadata,
    _measurement_id(),
    Column("body", LargeBinary, nullable=False),
)

artifact_results = Table(
    "artifact_results",
    metadata,
    _measurement_id(),
    Column("position", Integer, primary_key=True),
    Column("artifact", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("runtime_version", Text),
    Column("runs", Integer, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("p50_ns", Float),
    Column("p50_low_ns", Float),
    Column("p50_high_ns", Float),
    Column("p90_ns", Float),
    Column("p99_ns", Float),
    Column("peak_bytes", BigInteger),
    Index("artifact_results_by_content", "sha256"),
)

run_samples = Table(
    "run_samples",
    metadata,
    _measurement_id(),
    Column("position", Integer, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("phase", String(8), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

baselines = Table(
    "baselines",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("name", String(64), nullable=False),
    Column("bundle_name", Text, nullable=False),
    Column("bundle_id", String(64), nullable=False),
    Column("directory", Text, nullable=False),
    Index("baselines_by_name", "name", "created"),
)
