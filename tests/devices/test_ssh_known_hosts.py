"""Which host keys count: edgekit lets in what OpenSSH lets in, by the same known_hosts files, on a
real server."""

from __future__ import annotations

import base64
import dataclasses
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paramiko.message import Message

from edgekit.devices import ssh_keys
from edgekit.devices.ssh_config import Login
from edgekit.devices.ssh_keys import known_hosts_files, known_keys, record
from edgekit.devices.ssh_login import connect, trust
from edgekit.errors import EdgekitError, IdentityError
from tools.testbed import sshd
from tools.testbed.sshd import Server


def a_key() -> paramiko.PKey:
    """A public key that nobody has the private part of."""
    message = Message()
    message.add_string("ssh-ed25519")
    message.add_string(secrets.token_bytes(32))
    return paramiko.PKey.from_type_string("ssh-ed25519", message.asbytes())


def line_of(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


@pytest.fixture(autouse=True)
def nothing_was_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_keys, "_warned", set())


@pytest.fixture
def login(ssh_server: Server, trusting: None) -> Login:
    key = str(ssh_server.directory / "user_key")
    return Login("127.0.0.1", ssh_server.port, ssh_server.user, (key,), known_hosts=())


@pytest.fixture
def host_key(ssh_server: Server) -> paramiko.PKey:
    kind, data = (ssh_server.directory / "host_key.pub").read_text().split()[:2]
    return paramiko.PKey.from_type_string(kind, base64.b64decode(data))


def ssh_lets_in(login: Login, *files: Path) -> bool:
    options = [
        f"UserKnownHostsFile={' '.join(map(str, files))}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        *([f"HostKeyAlias={login.alias}"] if login.alias else []),
    ]
    words = [word for option in options for word in ("-o", option)]
    (key,) = login.identity_files or ()
    command = ["ssh", "-F", "none", *words, "-i", key, "-p", str(login.port)]
    done = subprocess.run(
        [*command, f"{login.user}@{login.host}", "true"], capture_output=True, timeout=20
    )
    return done.returncode == 0


def edgekit_lets_in(login: Login) -> bool:
    try:
        connect("board", login).close()
    except IdentityError:
        return False
    return True


DSS = "AAAAB3NzaC1kc3MAAAABAQ=="
FILES = {
    "the machine": ("{name} {key}", True),
    "a comment and other spaces": ("# keys\n\n  {name}\t{key}  the board's\r", True),
    "among others": ("one.example,{name},192.0.2.7 {key}", True),
    "another key": ("{name} {other}", False),
    "another machine": ("[127.0.0.1]:1 {key}", False),
    "two keys of a kind": ("{name} {other}\n{name} {key}", True),
    "a pattern": ("[127.0.0.?]:* {key}", True),
    "a pattern without this port": ("*,!{name} {key}", True),
    "a pattern without it": ("*,!{name},!127.0.0.1 {key}", False),
    "any port": ("127.0.0.1 {key}", True),
    "any port, another key": ("127.0.0.1 {other}", False),
    "any port, and another key for this one": ("127.0.0.1 {key}\n{name} {other}", False),
    "revoked": ("{name} {key}\n@revoked * {key}", False),
    "another one is revoked": ("{name} {key}\n@revoked * {other}", True),
    "revoked elsewhere": ("{name} {key}\n@revoked other.example {key}", True),
    "an authority": ("@cert-authority *.corp {key}\n{name} {key}", True),
    "an authority only": ("@cert-authority * {key}", False),
    "a marker nobody knows": ("@future {name} {other}\n{name} {key}", True),
    "a key cut off": ("other {cut}\n{name} {key}", True),
    "its key cut off": ("{name} {cut}", False),
    "no Base64": ("{name} ssh-ed25519 ????\n{name} {key}", True),
    "SSH 1": ("{name} 1024 35 1234567890\n{name} {key}", True),
    "DSA": ("{name} ssh-dss " + DSS + "\n{name} {key}", True),
    "half a line": ("{name}\n{name} {key}", True),
    "a kind that is not the key's": ("{name} ssh-rsa {data}", False),
    "bytes that are no text": ("\udcff\udcfe {key}\n{name} {key}", True),
}


@pytest.mark.device
@pytest.mark.parametrize("name", FILES)
def test_as_openssh_does(name: str, login: Login, host_key: paramiko.PKey, tmp_path: Path) -> None:
    template, lets_in = FILES[name]
    (tmp_path / "known").write_text(
        template.format(
            name=login.known_as,
            key=line_of(host_key),
            other=line_of(a_key()),
            cut=line_of(host_key)[:-1],
            data=host_key.get_base64(),
        ),
        errors="surrogateescape",
    )
    known = dataclasses.replace(login, known_hosts=(str(tmp_path / "known"),))
    assert ssh_lets_in(login, tmp_path / "known") == lets_in
    assert edgekit_lets_in(known) == lets_in
    assert known_keys(known, [tmp_path / "known"]).standing(host_key) == "known" or not lets_in


@pytest.mark.device
def test_hashed_names_and_aliases(login: Login, host_key: paramiko.PKey, tmp_path: Path) -> None:
    file = tmp_path / "known"
    for alias in ("", "Shelf-7"):
        named = dataclasses.replace(login, alias=alias, known_hosts=(str(file),))
        assert not edgekit_lets_in(named)
        file.write_text(f"{named.known_as} {line_of(host_key)}\n")
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
        assert named.known_as not in file.read_text()
        assert ssh_lets_in(named, file)
        assert edgekit_lets_in(named)
        file.unlink()


@pytest.mark.device
def test_several_files(login: Login, host_key: paramiko.PKey, tmp_path: Path) -> None:
    """Of the user's and the system's, any counts, as with OpenSSH. What edgekit recorded itself
    stands above them."""
    (tmp_path / "users").write_text(f"{login.known_as} {line_of(a_key())}\n")
    (tmp_path / "system").write_text(f"{login.known_as} {line_of(host_key)}\n")
    files = (tmp_path / "users", tmp_path / "none", tmp_path / "system")
    known = dataclasses.replace(login, known_hosts=tuple(map(str, files)))
    assert ssh_lets_in(login, *files)
    assert edgekit_lets_in(known)
    record(login, a_key(), known_hosts_files(known)[0])
    assert not edgekit_lets_in(known)


@pytest.mark.device
def test_a_revoked_key_cannot_be_trusted(
    login: Login, host_key: paramiko.PKey, tmp_path: Path
) -> None:
    file = tmp_path / "known"
    file.write_text(f"# x\n@revoked * {line_of(host_key)}\n")
    for reach in (connect, trust):
        with pytest.raises(IdentityError, match=f"is REVOKED .*{file}:2"):
            reach("board", login, known_hosts=str(file))
    assert len(file.read_text().splitlines()) == 2


@pytest.mark.device
@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256"])
def test_a_known_kind_is_asked_for(
    kind: str, servers_kinds: Server, trusting: None, tmp_path: Path
) -> None:
    """The server prefers another kind, of which nothing is known; that is not a changed key."""
    server, file = servers_kinds, tmp_path / "known"
    key = str(server.directory / "user_key")
    login = Login("127.0.0.1", server.port, server.user, (key,), known_hosts=(str(file),))
    kinds = {"ssh-rsa": "rsa", "ecdsa-sha2-nistp256": "ecdsa"}
    public = (server.directory / f"{kinds[kind]}_key.pub").read_text()
    file.write_text(f"{login.known_as} {public}")
    assert edgekit_lets_in(login)
    assert [shown.standing for shown in trust("board", login)] == ["known"]


@pytest.fixture(scope="module")
def servers_kinds() -> Iterator[Server]:
    """A server with host keys of three kinds."""
    with tempfile.TemporaryDirectory(prefix="edgekit-sshd-") as place:
        directory = Path(place)
        for kind, bits in {"rsa": "2048", "ecdsa": "256"}.items():
            file = str(directory / f"{kind}_key")
            command = ["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", file]
            subprocess.run(command, check=True)
        options = [f"HostKey {directory / kind}_key" for kind in ("rsa", "ecdsa")]
        with sshd.running(directory, *options) as server:
            yield server


def test_only_what_cannot_be_used_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = a_key()
    lines = [
        f"@cert-authority other.example {line_of(key)}",
        f"@cert-authority *.corp {line_of(key)}",
        f"board.corp {line_of(key)[:-1]}",
        f"board.corp ssh-dss {DSS}",
        f"board.corp {line_of(key)}",
    ]
    (tmp_path / "known").write_text("\n".join(lines))
    for _ in range(2):
        known = known_keys(Login("board.corp", 22, "me"), [tmp_path / "known"])
        assert known.standing(key) == "known"
    assert [record.getMessage() for record in caplog.records] == [
        f"warning: {tmp_path}/known:2: @cert-authority is not supported: it is left out",
        f"warning: {tmp_path}/known:3: the line is damaged or of an unknown kind: it is left out",
    ]


def test_what_is_recorded_replaces_what_the_file_says(tmp_path: Path) -> None:
    """So that an old key does not let in whoever has it. Lines about others stay as they are."""
    file, login, old, new = tmp_path / "known", Login("board", 22, "me"), a_key(), a_key()
    file.write_text(f"board {line_of(old)}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    others = [f"other {line_of(old)}", f"@revoked board {line_of(old)}", "# board", "\udcff x"]
    text = "\n".join([f"board {line_of(old)}", f"a,board {line_of(old)}", *others])
    with file.open("a", errors="surrogateescape") as stream:
        stream.write(text)
    record(login, new, file)
    assert file.read_text(errors="surrogateescape").splitlines() == [
        f"board {line_of(new)}",
        f"a {line_of(old)}",
        *others,
    ]
    assert known_keys(login, [file]).standing(new) == "known"


NAMES = st.one_of(
    st.sampled_from(("board", "[board]:2222", "|1|", "@revoked board", "@cert-authority *")),
    st.text("bord|1=*?!,[]:2@ \t\0\udcff", max_size=12),
)
KINDS = st.sampled_from(("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ssh-dss", "1024", ""))
BLOBS = st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode())
LINES = st.builds("{} {} {}\n".format, NAMES, KINDS, BLOBS)


def framed(kind: str, rest: bytes) -> str:
    """A blob that says of which kind it is, and then anything."""
    return base64.b64encode(len(kind).to_bytes(4) + kind.encode() + rest).decode()


FRAMED = st.builds(
    lambda name, kind, rest: f"{name} {kind} {framed(kind, rest)}\n",
    NAMES,
    KINDS,
    st.binary(max_size=60),
)


@given(st.lists(st.one_of(LINES, FRAMED), max_size=6).map("".join))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_is_a_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "known").write_text(text, errors="surrogateescape")
    login = Login("board", 2222, "me")
    assert known_keys(login, [tmp_path / "known"]).standing(a_key()) in ("unknown", "changed")
    record(login, a_key(), tmp_path / "known")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="known host keys cannot be read"):
        known_keys(Login("board", 22, "me"), [tmp_path])
