"""Getting in, on real OpenSSH servers: jump hosts, host keys, keys that are locked or with an
agent, passwords."""

from __future__ import annotations

import os
import pty
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from edgekit.devices.ssh_config import resolve
from edgekit.devices.ssh_keys import fingerprint, known_hosts_files, record
from edgekit.devices.ssh_login import HostKey, connect, connect_target, trust, trust_target
from edgekit.devices.target import SshTarget
from edgekit.devices.target_sections import Timeouts
from edgekit.errors import IdentityError, TransportError
from tests.support.tiers import require_root
from tools.emulation.machine import free_port
from tools.testbed import sshd
from tools.testbed.sshd import Server

pytestmark = [pytest.mark.device, pytest.mark.usefixtures("trusting")]

PASSPHRASE = "canary-passphrase"


@pytest.fixture(scope="module")
def jump(ssh_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A second server with keys of its own. The directory is not the tests' usual one, which nobody
    else may enter."""
    directory = Path("/tmp") / f"edgekit-jump-{secrets.token_hex(4)}"
    directory.mkdir()
    try:
        with sshd.running(directory, "LogLevel VERBOSE") as server:
            yield server
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def target(ssh_server: Server, tmp_path: Path) -> SshTarget:
    return SshTarget(
        edgekit=1,
        name="board",
        kind="ssh",
        host="127.0.0.1",
        port=ssh_server.port,
        user=ssh_server.user,
        identity_file=str(ssh_server.directory / "user_key"),
        known_hosts=str(tmp_path / "own" / "known"),
    )


@pytest.fixture
def locked(target: SshTarget, ssh_server: Server, tmp_path: Path) -> SshTarget:
    """A trusted target whose key file is encrypted."""
    file = tmp_path / "locked"
    shutil.copy(ssh_server.directory / "user_key", file)
    shutil.copy(ssh_server.directory / "user_key.pub", f"{file}.pub")
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", str(file)], check=True
    )
    trust_target(target, lambda key: True)
    return target.model_copy(update={"identity_file": str(file)})


def echoed(target: SshTarget) -> bytes:
    device = connect_target(target)
    try:
        return device.run(["echo", "in"], timeout_s=20).stdout
    finally:
        device.close()


def test_nobody_is_let_in_unseen(target: SshTarget, tmp_path: Path) -> None:
    """Unknown first; trusted by its fingerprint in the target's own file; changed when another key
    is known of it."""
    with pytest.raises(IdentityError, match=r"unknown host key ssh-ed25519 SHA256:") as raised:
        connect_target(target)
    assert "edgekit target trust board" in raised.value.hint
    asked: list[HostKey] = []

    def refuse(key: HostKey) -> bool:
        asked.append(key)
        return False

    with pytest.raises(IdentityError, match="was not trusted"):
        trust_target(target, refuse)
    assert not (tmp_path / "own").exists()
    assert trust_target(target, lambda key: True) == tuple(asked)
    known = trust_target(target, lambda key: pytest.fail(f"{key} is known"))
    assert [key.standing for key in known] == ["known"]
    assert echoed(target) == b"in\n"
    wrong = paramiko.PKey.from_path(_another_key(tmp_path))
    record(resolve("127.0.0.1", port=target.port), wrong, Path(str(target.known_hosts)))
    with pytest.raises(
        IdentityError,
        match=(
            f"CHANGED: .*{asked[0].fingerprint.replace('+', '.')}, known is"
            f" .*{fingerprint(wrong).replace('+', '.')}"
        ),
    ):
        connect_target(target)
    assert trust_target(target, lambda key: key.standing == "changed")[0].standing == "changed"
    assert echoed(target) == b"in\n"


def test_the_fingerprint_is_what_ssh_keygen_shows(target: SshTarget, ssh_server: Server) -> None:
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(ssh_server.directory / "host_key.pub")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert trust_target(target, lambda key: True)[0].fingerprint == shown.stdout.split()[1]


def test_openssh_reads_the_file(target: SshTarget, ssh_server: Server) -> None:
    trust_target(target, lambda key: True)
    command = [
        "ssh",
        "-F",
        "none",
        "-o",
        f"UserKnownHostsFile={target.known_hosts}",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "BatchMode=yes",
    ]
    command += [
        "-i",
        str(target.identity_file),
        "-p",
        str(target.port),
        f"{target.user}@127.0.0.1",
        "echo in",
    ]
    assert subprocess.run(command, capture_output=True, check=True, timeout=20).stdout == b"in\n"


def test_keys_of_the_user_count_without_an_own_file(target: SshTarget, tmp_path: Path) -> None:
    by_default = target.model_copy(update={"known_hosts": None})
    own, users = known_hosts_files(resolve("127.0.0.1"))[:2]
    trust_target(target, lambda key: True)
    shutil.move(str(target.known_hosts), users)
    assert echoed(by_default) == b"in\n"
    assert not own.exists()
    with pytest.raises(IdentityError, match="unknown host key"):
        connect_target(target)


def test_through_a_jump_host(
    target: SshTarget, ssh_server: Server, jump: Server, tmp_path: Path
) -> None:
    """Every setting comes from ~/.ssh/config, and the key of each machine on the way is trusted by
    itself."""
    config = Path.home() / ".ssh" / "config"
    config.write_text(
        f"Host the-board\n  HostName 127.0.0.1\n  Port {ssh_server.port}\n  User"
        f" {ssh_server.user}\n  IdentityFile {ssh_server.directory}/user_key\n  ProxyJump"
        f" door\nHost door\n  HostName 127.0.0.1\n  Port {jump.port}\n  User {jump.user}\n "
        f" IdentityFile {jump.directory}/user_key\n"
    )
    behind = SshTarget(
        edgekit=1, name="behind", kind="ssh", host="the-board", known_hosts=target.known_hosts
    )
    with pytest.raises(IdentityError, match=f"behind.*127.0.0.1:{jump.port}.*unknown host key"):
        connect_target(behind)
    assert len(trust_target(behind, lambda key: True)) == 2
    assert echoed(behind) == b"in\n"
    assert f"Accepted publickey for {jump.user}" in (jump.directory / "sshd.log").read_text()
    dead = free_port()
    config.write_text(config.read_text().replace(f"Port {ssh_server.port}", f"Port {dead}"))
    with pytest.raises(TransportError, match=r"the jump host .* cannot reach it"):
        connect_target(behind)


def test_a_locked_key_without_agent_or_terminal(
    locked: SshTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 39 of the faults: no prompt, no hang, and the passphrase is nobody's business."""
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    started = time.monotonic()
    with pytest.raises(
        IdentityError, match=r"login refused: the private key .*locked is encrypted"
    ) as raised:
        connect_target(locked)
    assert "ssh-add" in raised.value.hint
    assert time.monotonic() - started < 10


def test_a_locked_key_that_the_agent_holds(
    locked: SshTarget, ssh_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL
    )
    try:
        while not (tmp_path / "agent").exists():
            assert agent.poll() is None
        for _ in range(7):  # more than a server lets one try: the named key is tried first
            other = tmp_path / f"key-{secrets.token_hex(4)}"
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True
            )
            subprocess.run(["ssh-add", "-q", str(other)], check=True)
        with pytest.raises(IdentityError):
            connect_target(locked)
        subprocess.run(["ssh-add", "-q", str(ssh_server.directory / "user_key")], check=True)
        assert echoed(locked) == b"in\n"
    finally:
        agent.kill()
        agent.wait()


ON_A_TERMINAL = """
import sys
from edgekit.devices.ssh_login import connect_target
from edgekit.devices.target import SshTarget
device = connect_target(SshTarget.model_validate_json(sys.argv[1]))
print(device.run(["echo", "in"], timeout_s=20).stdout.decode())
"""


def test_a_passphrase_is_asked_for_on_a_terminal(locked: SshTarget) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", ON_A_TERMINAL, locked.model_dump_json()])
    shown, answers = b"", [b"wrong\n", PASSPHRASE.encode() + b"\n"]
    while True:
        try:
            shown += os.read(terminal, 1024)
        except OSError:  # the terminal's end of file
            break
        if shown.count(b"Passphrase of ") > 2 - len(answers):
            os.write(terminal, answers.pop(0))
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown.decode()
    assert b"in" in shown.split()
    assert PASSPHRASE.encode() not in shown


def test_a_password_from_the_environment(
    target: SshTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_root("gives the test's user a password")
    password = secrets.token_hex(8)
    with sshd.with_password(password) as server:
        there = target.model_copy(update={"port": server.port})
        trust_target(there, lambda key: True)
        for wrong in (None, "wrong"):
            (
                monkeypatch.setenv("EDGEKIT_SSH_PASSWORD", wrong)
                if wrong
                else monkeypatch.delenv("EDGEKIT_SSH_PASSWORD", raising=False)
            )
            with pytest.raises(IdentityError, match="login refused"):
                connect_target(there)
        monkeypatch.setenv("EDGEKIT_SSH_PASSWORD", password)
        assert echoed(there) == b"in\n"


def test_a_server_that_says_nothing(tmp_path: Path) -> None:
    """Case 29 of the faults, under the target's own deadline."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        login = resolve("127.0.0.1", port=silent.getsockname()[1])
        for reach in (connect, trust):
            started = time.monotonic()
            with pytest.raises(TransportError, match="board"):
                reach("board", login, timeouts=Timeouts(connect_seconds=0.5))
            assert time.monotonic() - started < 5


def test_the_fast_cipher_is_preferred(target: SshTarget) -> None:
    trust_target(target, lambda key: True)
    device = connect_target(target)
    transport = device._clients[0].get_transport()
    assert transport is not None
    assert "gcm" in transport.remote_cipher  # type: ignore[attr-defined] # not in paramiko's stubs
    device.close()


def _another_key(directory: Path) -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "another")],
        check=True,
    )
    return directory / "another"
