"""A board: this machine reached over real SSH as an unprivileged user, with a store of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgekit.devices import connect
from edgekit.devices.ssh_login import trust_target
from edgekit.devices.target import SshTarget
from tests.support.targets import write_target
from tools.testbed.sshd import Server


@pytest.fixture
def here(tmp_path: Path, trusting: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a home directory beside it."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("EDGEKIT_DB", f"sqlite:///{tmp_path}/results.db")
    return place


@pytest.fixture
def address(here: Path, ssh_server: Server) -> str:
    """As `target add --ssh` takes it; the key is one of the usual ones."""
    key = Path.home() / ".ssh" / "id_ed25519"
    key.write_bytes((ssh_server.directory / "user_key").read_bytes())
    key.chmod(0o600)
    return f"{ssh_server.user}@127.0.0.1:{ssh_server.port}"


@pytest.fixture
def pi(address: str, ssh_server: Server) -> Iterator[SshTarget]:
    """A trusted target `pi`, by its name in ./targets too."""
    workdir = f"/tmp/edgekit-board-{secrets.token_hex(6)}"
    target = SshTarget(
        edgekit=1,
        name="pi",
        kind="ssh",
        host="127.0.0.1",
        port=ssh_server.port,
        user=ssh_server.user,
        workdir=workdir,
    )
    trust_target(target, lambda key: True)
    write_target(target)
    yield target
    with closing(connect(target)) as device:
        device.run(["rm", "-rf", workdir], timeout_s=20)
