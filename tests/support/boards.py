"""Real servers on this machine, as fixtures: OpenSSH, adbd with an adb server, a full disk."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiers import cannot_run, require_root
from tools.testbed import adbd, sshd


def require_adbd() -> None:
    """Android's daemon is built from the sources of Debian 12, so that others may lack it."""
    if reason := adbd.why_not():
        cannot_run(f"{reason} (on Debian 12, which has its source)", need="debian12")


@pytest.fixture(scope="session")
def ssh_server() -> Iterator[sshd.Server]:
    if reason := sshd.why_not():
        cannot_run(reason)
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-sshd-") as directory,
        sshd.running(Path(directory)) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def adb_daemon() -> Iterator[adbd.Daemon]:
    require_adbd()
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-adbd-") as directory,
        adbd.running(Path(directory)) as daemon,
    ):
        yield daemon


@pytest.fixture(scope="session")
def adb_environment() -> Iterator[dict[str, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-adb-") as home,
        adbd.server(Path(home)) as environment,
    ):
        yield environment


@pytest.fixture
def own_adb_server(adb_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The adb program talks to a server of the tests, not to the user's."""
    for key, value in adb_environment.items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory of its own, so that neither the user's keys and configuration nor known
    hosts play a part. With a `.ssh` in it, as else `ssh` would be asked, which reads the user's."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A file system of 1 MB that every user may write to; needs root and the right to mount."""
    with tempfile.TemporaryDirectory(prefix="edgekit-tiny-") as directory:
        Path(directory).chmod(0o755)
        place = Path(directory) / "tiny disk"
        place.mkdir()
        options = ["-t", "tmpfs", "-o", "size=1m,mode=1777", "tmpfs", str(place)]
        require_root("mounts a tmpfs")
        if subprocess.run(["mount", *options], capture_output=True).returncode != 0:
            cannot_run("needs the right to mount a tmpfs", need="mount")
        yield place
        subprocess.run(["umount", "-l", place], check=True)
