"""Key files that cannot be used, beside one that can: on a real OpenSSH server."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from paramiko.message import Message

from edgekit.devices import ssh_auth
from edgekit.devices.ssh_key_files import Encrypted, Unusable, load, public_part
from edgekit.devices.ssh_login import connect, resolve, trust
from edgekit.errors import IdentityError
from tools.testbed.sshd import Server


@pytest.fixture(autouse=True)
def nothing_was_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_auth, "_warned", set())


def write_fido_key(file: Path) -> Path:
    """A key as `ssh-keygen -t ed25519-sk` writes it (PROTOCOL.key and PROTOCOL.u2f of OpenSSH): its
    private part is a handle for the authenticator."""
    kind = "sk-ssh-ed25519@openssh.com"
    public = Message()
    private = Message()
    check = secrets.token_bytes(4)
    private.add_bytes(check * 2)
    for part in (public, private):
        part.add_string(kind)
        part.add_string(secrets.token_bytes(32) if part is public else public.asbytes()[-40:-8])
        part.add_string("ssh:")
    private.add_byte(b"\x01")
    for text in (secrets.token_bytes(64), b"", b"me@desk"):
        private.add_string(text)
    padding = bytes(range(1, 1 + -len(private.asbytes()) % 8))
    whole = Message()
    whole.add_bytes(b"openssh-key-v1\0")
    for text in (b"none", b"none", b""):
        whole.add_string(text)
    whole.add_int(1)
    whole.add_string(public.asbytes())
    whole.add_string(private.asbytes() + padding)
    body = base64.encodebytes(whole.asbytes()).decode()
    file.write_text(
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}-----END OPENSSH PRIVATE KEY-----\n"
    )
    file.chmod(0o600)
    return file


def keygen(file: Path, *options: str) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", *options, "-f", str(file)]
    subprocess.run(command, check=True)
    return file


def test_what_a_file_holds(tmp_path: Path) -> None:
    plain = keygen(tmp_path / "plain")
    locked = keygen(tmp_path / "locked", "-N", "secret")
    fido = write_fido_key(tmp_path / "fido")
    shown = subprocess.run(["ssh-keygen", "-y", "-f", str(fido)], capture_output=True, check=True)
    assert shown.stdout.startswith(b"sk-ssh-ed25519@openssh.com "), "it is such a key"
    (tmp_path / "cut").write_bytes(plain.read_bytes()[:200])
    (tmp_path / "text").write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    (tmp_path / "empty").touch()
    assert load(plain).asbytes() == public_part(plain) == public_part(tmp_path / "plain.pub")
    assert load(locked, "secret").asbytes() == public_part(locked)
    for passphrase in (None, "wrong"):
        with pytest.raises(Encrypted):
            load(locked, passphrase)
    for file, reason in {
        fido: f"a FIDO key works by the agent only: `ssh-add {fido}`",
        tmp_path / "plain.pub": "it is the public part, and the agent does not have the key",
        tmp_path / "cut": "it is damaged, or of a kind not known here",
        tmp_path / "text": "it is not a private key",
        tmp_path / "empty": "it is not a private key",
        tmp_path / "nowhere": "No such file or directory",
        tmp_path: "Is a directory",
    }.items():
        with pytest.raises(Unusable) as raised:
            load(file)
        assert str(raised.value) == reason


@pytest.fixture
def configured(ssh_server: Server, trusting: None) -> Path:
    """The user's configuration, which names key files for the host `pi5`; to be gone on with."""
    config = Path.home() / ".ssh" / "config"
    config.write_text(
        f"Host pi5\n  HostName 127.0.0.1\n  Port {ssh_server.port}\n  User {ssh_server.user}\n"
    )
    trust("pi5", resolve("pi5"))
    return config


def add(config: Path, *lines: str) -> None:
    with config.open("a") as stream:
        stream.writelines(f"  {line}\n" for line in lines)


def echoed() -> bytes:
    with closing(connect("pi5", resolve("pi5"))) as device:
        return device.run(["echo", "in"], timeout_s=20).stdout


@pytest.mark.device
def test_the_next_key_is_tried(
    configured: Path, ssh_server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "id_cut").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    unusable = [write_fido_key(tmp_path / "id_ed25519_sk"), tmp_path / "id_cut"]
    usable = [keygen(tmp_path / "other"), ssh_server.directory / "user_key"]
    add(configured, *(f"IdentityFile {file}" for file in (*unusable, *usable)))
    for _ in range(2):
        assert echoed() == b"in\n"
    warned = [record.getMessage() for record in caplog.records]
    assert [str(file) in text for file, text in zip(unusable, warned, strict=True)] == [True] * 2
    assert "FIDO key works by the agent only: `ssh-add " in warned[0]


@pytest.mark.device
def test_a_key_that_cannot_be_used_is_named(configured: Path, tmp_path: Path) -> None:
    fido = write_fido_key(tmp_path / "id_ed25519_sk")
    add(configured, f"IdentityFile {fido}", "IdentitiesOnly yes")
    with pytest.raises(IdentityError, match=f"login refused: {fido}: a FIDO key") as raised:
        echoed()
    assert "IdentityFile" in raised.value.hint


@pytest.fixture
def agent(ssh_server: Server, tmp_path: Path) -> Iterator[Path]:
    """The socket of an agent that has the server's key, and no other."""
    place = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL)
    try:
        while not place.exists():
            assert agent.poll() is None
        subprocess.run(
            ["ssh-add", "-q", str(ssh_server.directory / "user_key")],
            env={**os.environ, "SSH_AUTH_SOCK": str(place)},
            check=True,
        )
        yield place
    finally:
        agent.kill()
        agent.wait()


@pytest.mark.device
@pytest.mark.parametrize("name", ["here.pub", "here"])
def test_a_public_key_whose_private_part_only_the_agent_has(
    name: str, configured: Path, ssh_server: Server, agent: Path, tmp_path: Path
) -> None:
    """As password managers with an agent of their own want it."""
    shutil.copy(ssh_server.directory / "user_key.pub", tmp_path / "here.pub")
    add(configured, f"IdentityFile {tmp_path}/{name}", "IdentitiesOnly yes")
    with pytest.raises(IdentityError):
        echoed()
    add(configured, f"IdentityAgent {agent}")
    assert echoed() == b"in\n"


@pytest.mark.device
def test_which_agent_is_asked(
    configured: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = configured.read_text()
    for setting, lets_in in {
        "IdentityAgent none": False,
        "IdentityAgent $NOT_SET": False,
        "IdentityAgent ~/no-such-agent": False,
        "IdentityAgent SSH_AUTH_SOCK": True,
        "IdentityAgent $OTHER": True,
        "IdentityAgent ${OTHER}": True,
        "IdentityFile none": True,
    }.items():
        configured.write_text(f"{content}  {setting}\n")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        monkeypatch.setenv("OTHER", str(agent))
        if lets_in:
            assert echoed() == b"in\n", setting
        else:
            with pytest.raises(IdentityError, match="login refused"):
                echoed()


@pytest.mark.device
def test_a_usual_key_that_is_locked_and_in_the_agent(
    configured: Path, ssh_server: Server, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As most people have it, also with `IdentitiesOnly`, which leaves the agent's others out."""
    usual = configured.parent / "id_ed25519"
    shutil.copy(ssh_server.directory / "user_key", usual)
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(usual)]
    subprocess.run(command, check=True)
    add(configured, "IdentitiesOnly yes")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    with pytest.raises(IdentityError, match=f"{usual} is encrypted"):
        echoed()  # nothing says which of the agent's keys it is
    shutil.copy(ssh_server.directory / "user_key.pub", f"{usual}.pub")
    assert echoed() == b"in\n"
