"""A PostgreSQL server of one's own, where its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiers import cannot_run


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("psycopg", reason="pip install 'edgekit[postgres]'")
    if not shutil.which("initdb") or not shutil.which("pg_ctl"):
        cannot_run("needs PostgreSQL's programs: install the package postgresql and put initdb and pg_ctl on PATH")
    data = tmp_path_factory.mktemp("postgres")
    account: dict[str, int] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("run as another user than root, or add a user postgres")
        account = {"user": owner.pw_uid, "group": owner.pw_gid}
        for directory in (data, *data.parents[:2]):
            os.chmod(directory, 0o755)
        os.chown(data, owner.pw_uid, owner.pw_gid)

    def postgres(*argv: str) -> None:
        subprocess.run(argv, check=True, capture_output=True, timeout=60, cwd=data, **account)  # type: ignore[call-overload]

    (password := Path(data / "password")).write_text("sesame\n")
    password.chmod(0o644)
    cluster, socket = str(data / "cluster"), str(data)
    postgres("initdb", "-D", cluster, "-U", "edgekit", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
    postgres("pg_ctl", "-D", cluster, "-w", "-l", str(data / "log"), "-o", f"-k {socket} -c listen_addresses= -c fsync=off", "start")
    try:
        yield f"postgresql://edgekit:sesame@/postgres?host={socket}"
    finally:
        postgres("pg_ctl", "-D", cluster, "-m", "immediate", "stop")
