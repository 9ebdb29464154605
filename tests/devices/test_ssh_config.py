"""Where a target is, from ~/.ssh/config as people write it."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.devices.ssh_config import Login, resolve, split_address
from edgekit.errors import EdgekitError, IdentityError, UsageError
from tests.support.tiers import cannot_run

CONFIG = """\
Include included/*.conf
User everywhere
Host board
    HostName 192.0.2.7
    Port 2222
    User pi
    IdentityFile ~/keys/board
    IdentitiesOnly yes
Host behind
    ProxyJump me@first:2200,board
Host first
    HostName first.example.net
    ProxyJump unused
Host unused
    ProxyJump none
Match host matched
    Port 77
Host circle
    ProxyJump other
Host other
    ProxyJump circle
Host shell
    ProxyCommand nc %h %p
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    directory = tmp_path / ".ssh"
    (directory / "included").mkdir(parents=True)
    (directory / "included" / "a.conf").write_text(
        "Host from-include\n  Port=2022\n  Include included/deeper\n"
    )
    (directory / "included" / "deeper").write_text("User deep\n")
    (directory / "config").write_text(CONFIG)
    return directory / "config"


def test_without_a_configuration(tmp_path: Path) -> None:
    assert resolve("pi.local", config=tmp_path / "none") == Login("pi.local", 22, getpass.getuser())


def test_an_alias(config: Path, tmp_path: Path) -> None:
    assert resolve("board") == Login(
        "192.0.2.7", 2222, "everywhere", (str(tmp_path / "keys/board"),), identities_only=True
    )


def test_what_the_target_says_wins(config: Path) -> None:
    assert resolve("board", port=1, user="me", identity_file="/k") == Login(
        "192.0.2.7", 1, "me", ("/k",), identities_only=True
    )


def test_includes_end_where_they_stand(config: Path) -> None:
    login = resolve("from-include")
    assert (login.port, login.user) == (2022, "deep")
    assert resolve("elsewhere").user == "everywhere"
    assert resolve("matched").port == 77


def test_a_chain_of_jump_hosts(config: Path) -> None:
    login = resolve("behind")
    assert [str(hop) for hop in login.hops] == [
        "everywhere@unused:22",
        "me@first.example.net:2200",
        "everywhere@192.0.2.7:2222",
        "everywhere@behind:22",
    ]


def test_names_in_known_hosts() -> None:
    assert (
        Login("a", 22, "u").known_as,
        Login("a", 23, "u").known_as,
        Login("::1", 23, "u").known_as,
    ) == ("a", "[a]:23", "[::1]:23")


@pytest.mark.parametrize(("host", "message"), [("circle", "circle"), ("shell", "ProxyCommand")])
def test_what_is_refused(config: Path, host: str, message: str) -> None:
    with pytest.raises(IdentityError, match=message) as raised:
        resolve(host)
    assert raised.value.hint


BROKEN = {
    "Host a\n  Port many\n": "config:2: Port: expected a number, not 'many'",
    "Host a\n\n  User\n": "config:3: user: a value is missing",
    'Host "a': "config:1: a quote is not closed",
    "Match host\n": "config:1: Match host: a pattern is missing",
    '"Host" a\n': "config:1: this is not a setting",
    "# x\nInclude ~a\0*\n": "config:2: this is not a setting",
    "Include config\n": "config:1: too many files include each other",
    "Match localnetwork 10.8.0.0/16\n User ops\n": "config:1: Match localnetwork: this is not",
    "Match host a exec true\n User ops\n": "config:1: Match exec: this is not understood",
    "Host *\n CanonicalizeHostname yes\n": "config:2: canonicalizehostname: this is not",
    "Host *\n Jump\x1b[31mHost bastion\n": r"config:2: jump.\[31mhost: this is not understood",
    "Host *\n RevokedHostKeys /keys\n": "config:2: revokedhostkeys: this is not understood",
}


@pytest.mark.parametrize("content", BROKEN)
def test_what_is_not_understood_is_refused_with_its_line(config: Path, content: str) -> None:
    config.write_text(content)
    with pytest.raises(IdentityError, match=BROKEN[content]) as raised:
        resolve("a")
    assert raised.value.hint
    assert "\x1b" not in raised.value.message


def test_it_is_refused_only_where_it_applies(config: Path) -> None:
    """What is wrong with another host's settings is nobody's business here; nor what the user says
    is to be left alone."""
    config.write_bytes(
        b"Host \xff\n  Colour blue\nMatch host b localnetwork 10.8.0.0/16\n  User ops\n"
        b"Match originalhost b exec false\n  User ops\n"
        b"Host *\n  IgnoreUnknown Colo*\n  Colour blue\n  CanonicalizeHostname no\n  User me\n"
    )
    assert resolve("a").user == "me"


ADDRESSES = {
    "pi@host": ("pi", "host", None),
    "host:22": (None, "host", 22),
    "pi@[::1]:2222": ("pi", "::1", 2222),
    "fe80::1%eth0": (None, "fe80::1%eth0", None),
    "a.b@host.example:1": ("a.b", "host.example", 1),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses(text: str) -> None:
    assert split_address(text) == ADDRESSES[text]


@pytest.mark.parametrize("text", ["", "@", "a@", "a@b:c", "a:b", "a@b@c", "host:", "[::1"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="not an address"):
        split_address(text)


@pytest.mark.parametrize("host", ["board", "from-include", "elsewhere", "matched"])
def test_openssh_understands_the_same(config: Path, host: str) -> None:
    """ssh takes the home directory from the password database, so includes are given by absolute
    path here."""
    ssh = shutil.which("ssh") or cannot_run("needs ssh: apt-get install openssh-client")
    for file in (config, config.parent / "included" / "a.conf"):
        file.write_text(file.read_text().replace("Include ", f"Include {config.parent}/"))
    output = subprocess.run(
        [ssh, "-G", "-F", str(config), host], capture_output=True, text=True, check=True
    ).stdout
    expected = dict(line.split(" ", 1) for line in output.splitlines())
    login = resolve(host)
    assert (login.host, str(login.port), login.user) == (
        expected["hostname"],
        expected["port"],
        expected["user"],
    )


KEYWORDS = (
    "Host",
    "Match host",
    "Match user",
    "Match final",
    "Include",
    "Port",
    "ProxyJump",
    "Tag",
)
WORDS = st.text("ab2*!=,'\"\\# %~${}[]:@-/\t\r\0\x1b\udcff", max_size=8)
LINES = st.builds("{} {}\n".format, st.sampled_from(KEYWORDS), WORDS)


@given(st.lists(LINES, max_size=6).map("".join))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_configuration_is_a_traceback(config: Path, text: str) -> None:
    config.write_text(text, errors="surrogateescape")
    with contextlib.suppress(EdgekitError):
        assert resolve("a").known_as
