"""A PostgreSQL server of one's own, where its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.tiers import cannot_run, require_module


@dataclass(frozen=True)
class PostgresServer:
    """A running server below `data`; its programs run as `account` where tests are root's."""

    data: str
    account: Mapping[str, int]

    @property
    def url(self) -> str:
        return f"postgresql://edgekit:sesame@/postgres?host={self.data}"

    def run(self, *argv: str) -> None:
        subprocess.run(  # type: ignore[call-overload]
            argv, check=True, capture_output=True, timeout=60, cwd=self.data, **self.account
        )

    def start(self) -> None:
        options = f"-k {self.data} -c listen_addresses= -c fsync=off"
        log = f"{self.data}/log"
        self.run("pg_ctl", "-D", f"{self.data}/cluster", "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """At once: connections break."""
        self.run("pg_ctl", "-D", f"{self.data}/cluster", "-w", "-m", "immediate", "stop")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
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
        server = PostgresServer(data, account)
        if account:
            os.chown(data, account["user"], account["group"])
        (password := Path(data) / "password").write_text("sesame\n")
        password.chmod(0o644)
        secret = ("-A", "scram-sha-256", f"--pwfile={password}")
        server.run("initdb", "-D", f"{data}/cluster", "-U", "edgekit", *secret, "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    return postgres_server.url
