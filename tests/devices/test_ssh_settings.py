"""What the user's own client makes of a host: the real `ssh` is asked, and where there is none,
edgekit reads the files as it does."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from edgekit.devices import ssh_settings
from edgekit.devices.ssh_config import Login, resolve
from edgekit.devices.ssh_keys import known_hosts_files
from edgekit.devices.tcp import Route
from edgekit.errors import IdentityError, UsageError
from edgekit.places import system_home
from tests.support.tiers import cannot_run


class Client:
    """`ssh` as it is installed, with a configuration of its own; counts how often it is asked."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("ssh") or cannot_run("needs ssh: apt-get install openssh-client")
        self.config, self._calls = directory / "config", directory / "calls"
        script = directory / "bin" / "ssh"
        script.parent.mkdir()
        script.write_text(
            f'#!/bin/sh\necho >>{self._calls}\nexec {program} -F {self.config} "$@"\n'
        )
        script.chmod(0o755)
        self.folder = script.parent

    @property
    def calls(self) -> int:
        return self._calls.read_text().count("\n")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client(tmp_path)
    monkeypatch.setenv("PATH", str(client.folder), prepend=":")
    monkeypatch.setenv("HOME", str(system_home()))
    return client


def of_file(host: str, config: Path, **overrides: str) -> Login:
    return resolve(host, config=config, **overrides)  # type: ignore[arg-type]


def comparable(login: Login) -> list[Login]:
    """All machines on the way, with the usual files written out."""
    return [
        dataclasses.replace(hop, jump=None, known_hosts=tuple(map(str, known_hosts_files(hop)[1:])))
        for hop in login.hops
    ]


CONFIGS = {
    "comments": "Host b # desk\n  Port 2222 # desk\n  User pi\t#x\n  HostName 192.0.2.7 #\n",
    "a sign in a word": "Host b#c b\n  User pi#1\n  HostName h\n",
    "quotes": 'Host "b" \'c\'\n  User "p i"\n  IdentityFile "/a b/k" # x\n  Port \'22\'\n',
    "escapes": 'Host b\n  IdentityFile "/a\\"b\\\\c"\n  IdentityFile /a\\ b\n',
    "equal signs": "Host=b\nPort = 2022\n\tUser=me\nHostName   =   h\n",
    "large letters": "hOST b\n  PORT 2022\n  HostName EXAMPLE.Net\n",
    "carriage returns": "Host b\r\n  Port 2022\r\n  User me\r\n",
    "the first counts": "Host b\n  Port 1\nHost *\n  Port 2\n  User me\n",
    "patterns": "Host !b *\n  User no\nHost ? !c\n  User yes\n  Port 7\n",
    "Match": "Host b\n HostName h.example\nMatch host *.example,x user !root,me\n Port 7\n"
    "Match originalhost b !host h.example\n Port 8\nMatch all\n User u\n",
    "Match final": "Match final host h\n Port 9\nHost b\n HostName h\nMatch final all\n User f\n",
    "tokens": "Host b\n  HostName %h.example.%%net\n  IdentityFile %d/%h/%n/%r/%p/%u/%i\n"
    "  User me\n  UserKnownHostsFile ~/a %d/b\n",
    "tilde": "Host b\n  IdentityFile ~/k\n  IdentityFile ~/k\n  IdentityFile ~/l\n",
    "no keys": "Host b\n  IdentityFile none\n  IdentityAgent none\n  IdentitiesOnly yes\n",
    "an agent": "Host b\n  IdentityAgent ~/agent.sock\n",
    "known hosts": "Host b\n  HostKeyAlias shelf\n  UserKnownHostsFile /a /b\n"
    "  GlobalKnownHostsFile /dev/null\n",
    "a way": "Host b\n  AddressFamily inet6\n  BindAddress 127.0.0.2\n  BindInterface lo\n",
    "jumps": "Host b\n  ProxyJump me@first:2200,second\nHost first\n  HostName f\n"
    "  ProxyJump [::1]:23\nHost second\n  User two\n  ProxyJump not-this\n",
    "no jump after all": "Host b\n  ProxyJump none\n  User me\nHost b*\n  ProxyJump x\n",
    "jump before command": "Host b\n  ProxyJump x\n  ProxyCommand nc %h %p\n",
    "no command": "Host b\n  ProxyCommand none\n  ProxyJump x\n  User me\n",
    "unknown words": "IgnoreUnknown Colo*\nHost b\n  Colour blue\n  Port 7\n",
    "what changes nothing": "Host b\n  ControlMaster auto\n  ControlPath ~/%C\n"
    "  SendEnv LANG LC_*\n  StrictHostKeyChecking no\n  ServerAliveInterval 3\n  Port 7\n",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_read_as_ssh_reads_it(name: str, client: Client) -> None:
    client.config.write_text(CONFIGS[name])
    for host in ("b", "c"):
        asked, read = resolve(host), of_file(host, client.config)
        assert comparable(read) == comparable(asked)
    assert resolve("b") != resolve("elsewhere"), "the configuration matters"


@pytest.mark.parametrize("included", ["", "Host x\n  User no\n", "Host b\n  Port 7\nHost x\n"])
def test_includes_as_ssh_reads_them(included: str, client: Client, tmp_path: Path) -> None:
    (tmp_path / "1.conf").write_text("User first\n" + included)
    (tmp_path / "2.conf").write_text("User second\n  HostName h\n")
    for place in ("", "Host b\n", "Host x\n", "Match host b\n"):
        client.config.write_text(f"{place}Include {tmp_path}/[0-9].conf\n  Port 2022\n")
        asked, read = resolve("b"), of_file("b", client.config)
        assert comparable(read) == comparable(asked)
        assert (asked.user == "first") == ("x" not in place)


def test_what_is_given_has_priority_and_decides_matches(client: Client) -> None:
    client.config.write_text("Match user me\n  HostName mine\nHost *\n  User other\n  Port 7\n")
    for login in (resolve("b", user="me", port=8), of_file("b", client.config, user="me")):
        assert (login.host, login.user) == ("mine", "me")
    assert resolve("b", user="me", port=8, identity_file="/k") == dataclasses.replace(
        resolve("b"), host="mine", user="me", port=8, identity_files=("/k",)
    )


def test_the_way_to_it(client: Client) -> None:
    client.config.write_text(CONFIGS["a way"])
    assert resolve("b").route == Route("inet6", "127.0.0.2", "lo")


def test_a_criterion_that_only_ssh_knows(client: Client, tmp_path: Path) -> None:
    """What a command says decides, as with `ssh`; what does not apply is not taken."""
    client.config.write_text(
        f'Match originalhost b exec "test -e {tmp_path}/work"\n  User ops\n  ProxyJump x\n'
    )
    assert resolve("b").jump is None
    (tmp_path / "work").touch()
    assert resolve("b").user == "ops"
    assert [hop.host for hop in resolve("b").hops] == ["x", "b"]
    with pytest.raises(IdentityError, match=f"{client.config}:1: Match exec: this is not"):
        of_file("b", client.config)


def test_canonical_names_without_domains(client: Client) -> None:
    client.config.write_text("CanonicalizeHostname yes\nHost b\n  User me\n")
    assert str(resolve("b")) == "me@b:22"


def test_asked_once_for_each_machine(client: Client) -> None:
    client.config.write_text("Host b\n  ProxyJump c\n")
    assert len(resolve("b").hops) == client.calls == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Host b\n  Colour blue\n", "line 2: Bad configuration option: colour"),
        ("Host b\n  Port many\n", "line 2: Bad port"),
        ("Match quantum b\n", "line 1"),
        ("Host b\n  ProxyCommand nc %h %p\n", "ProxyCommand in ~/.ssh/config is not supported"),
        ("RevokedHostKeys /keys\n", "RevokedHostKeys in ~/.ssh/config is not supported"),
        ("Host b\n  ProxyJump c\nHost c\n  ProxyJump b\n", "circle"),
        ("Host *\n  ProxyJump c\n", "circle|loop"),
    ],
)
def test_what_ssh_refuses_is_refused_in_its_words(
    content: str, message: str, client: Client
) -> None:
    client.config.write_text(content)
    with pytest.raises((IdentityError, UsageError), match=message) as raised:
        resolve("b")
    assert raised.value.hint
    assert "\n" not in raised.value.message


def test_no_host_is_an_option(client: Client) -> None:
    client.config.write_text("Host b\n  ProxyJump -oProxyCommand=x\n")
    for host in ("-G", "-oProxyCommand=touch x", "b"):
        with pytest.raises((UsageError, IdentityError)):
            resolve(host)
        with pytest.raises((UsageError, IdentityError)):
            of_file(host, client.config)


def test_an_answer_that_does_not_come(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_settings, "ANSWER_S", 0.3)
    client.config.write_text('Match exec "exec sleep 2"\n  User ops\n')
    with pytest.raises(IdentityError, match="did not answer within"):
        resolve("b")


def test_another_home_is_read_without_ssh(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ssh` does not look at HOME. One without `.ssh` changes nothing."""
    client.config.write_text("Host b\n  User of-ssh\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert resolve("b").user == "of-ssh"
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "config").write_text("Host b\n  User of-home\n")
    assert resolve("b").user == "of-home"
    assert client.calls == 1
