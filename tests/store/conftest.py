"""A bundle, a database file, and a PostgreSQL server of one's own where its programs are
installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from tests.support.measured import make_bundle
from tests.support.tiers import cannot_run, require_module


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "results.db")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    require_module("psycopg", "postgres")
    if not shutil.which("initdb") or not shutil.which("pg_ctl"):
        cannot_run(
            "needs PostgreSQL's programs: install the package postgresql and put initdb and pg_ctl"
            " on PATH"
        )
    account: dict[str, int] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            cannot_run("run as another user than root, or add a user postgres")
        account = {"user": owner.pw_uid, "group": owner.pw_gid}
    with tempfile.TemporaryDirectory(
        prefix="edgekit-postgres-"
    ) as data:  # not pytest's, which other users must not enter

        def postgres(*argv: str) -> None:
            subprocess.run(argv, check=True, capture_output=True, timeout=60, cwd=data, **account)  # type: ignore[call-overload]

        if account:
            os.chown(data, account["user"], account["group"])
        (password := Path(data) / "password").write_text("sesame\n")
        password.chmod(0o644)
        postgres(
            "initdb",
            "-D",
            f"{data}/cluster",
            "-U",
            "edgekit",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
            "--no-sync",
        )
        postgres(
            "pg_ctl",
            "-D",
            f"{data}/cluster",
            "-w",
            "-l",
            f"{data}/log",
            "-o",
            f"-k {data} -c listen_addresses= -c fsync=off",
            "start",
        )
        try:
            yield f"postgresql://edgekit:sesame@/postgres?host={data}"
        finally:
            postgres("pg_ctl", "-D", f"{data}/cluster", "-m", "immediate", "stop")
