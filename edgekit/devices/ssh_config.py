"""Where and as whom a board is reached: a target's own settings, then what the user's SSH client
would use. Opens no connection.

HostName, Port, User, IdentityFile, IdentitiesOnly, IdentityAgent, ProxyJump, HostKeyAlias,
UserKnownHostsFile, GlobalKnownHostsFile, AddressFamily, BindAddress and BindInterface count,
wherever they are set. `StrictHostKeyChecking no` does not: host keys are always verified.
ProxyCommand is refused, because it is a shell string; ProxyJump does the same for SSH. So is
RevokedHostKeys: to leave it out would be to trust what the user does not."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.devices.ssh_settings import Settings, settings_of
from edgekit.devices.tcp import ANY_ROUTE, Route
from edgekit.errors import IdentityError, UsageError
from edgekit.places import below_ssh_home, user_name

MAX_JUMPS = 8
IPV6 = r"(?=[^:]*:[^:]*:)[0-9a-fA-F:.]+(?:%[A-Za-z0-9._-]+)?"
ADDRESS = (
    r"(?:(?P<user>(?!-)[^@]+)@)?"
    rf"(?:\[(?P<bracketed>{IPV6})\]|(?P<host>{IPV6}|(?!-)[^:@\[\]]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
USUAL_KEYS = {f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ed25519")}
"""Among what `ssh -G` lists where no IdentityFile is set."""
USUAL_FILES = {
    "userknownhostsfile": ("~/.ssh/known_hosts", "~/.ssh/known_hosts2"),
    "globalknownhostsfile": ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"),
}


@dataclass(frozen=True)
class Login:
    """Where and as whom, after the configuration was applied.

    `jump` is another Login to tunnel through; `identities_only` leaves the agent's other keys out.
    `agent` is the socket of the agent (None: the one in SSH_AUTH_SOCK; empty: none). `alias` is the
    name in known_hosts files, where it is not the host's. `identity_files` and `known_hosts` are
    None for the usual ones."""

    host: str
    port: int
    user: str
    identity_files: tuple[str, ...] | None = None
    identities_only: bool = False
    jump: Login | None = None
    agent: str | None = None
    alias: str = ""
    known_hosts: tuple[str, ...] | None = None
    route: Route = ANY_ROUTE

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def known_as(self) -> str:
        """The name in a known_hosts file."""
        return self.alias or (self.host if self.port == 22 else f"[{self.host}]:{self.port}")

    @property
    def hops(self) -> tuple[Login, ...]:
        """All machines on the way, the board last."""
        return (*(self.jump.hops if self.jump else ()), self)


def resolve(
    host: str,
    *,
    port: int | None = None,
    user: str | None = None,
    identity_file: str | None = None,
    config: Path | None = None,
) -> Login:
    """Apply the user's SSH configuration to a host or alias; what is given here has priority.
    `config` is a file that is read in place of the user's.

    Raises IdentityError: a configuration that cannot be read or understood, jump hosts that lead in
    a circle, a ProxyCommand. Raises UsageError: the system has no name for this user, or the host
    would be taken for an option."""
    return _resolve(host, port, user, identity_file, config, ())


def split_address(text: str) -> tuple[str | None, str, int | None]:
    """`USER@HOST:PORT` as user, host and port; the first and the last may be left out, an IPv6
    address with a port stands in brackets.

    Raises UsageError.
    """
    match = re.fullmatch(ADDRESS, text)
    if not match:
        raise UsageError(
            f"{text!r} is not an address of a machine",
            hint="USER@HOST or USER@HOST:PORT, e.g. pi@raspberrypi.local",
        )
    return (
        match["user"],
        match["bracketed"] or match["host"],
        int(match["port"]) if match["port"] else None,
    )


def _resolve(
    host: str,
    port: int | None,
    user: str | None,
    identity_file: str | None,
    config: Path | None,
    seen: tuple[str, ...],
    jumps: str | None = None,
) -> Login:
    if len(seen) > MAX_JUMPS or host in seen:
        raise IdentityError(
            f"{host}: the jump hosts lead in a circle", hint="check ProxyJump in ~/.ssh/config"
        )
    if host.startswith("-"):
        raise UsageError(f"{host!r} is no host: a program would take it for an option")
    settings = settings_of(host, port=port, user=user, jumps=jumps, config=config)
    via = _first(settings, "proxyjump", "none")
    _require_supported(host, settings, via)
    tokens = _tokens(host, settings)
    own_key = (os.path.expanduser(identity_file),) if identity_file else None
    return Login(
        host=tokens["%h"],
        port=int(tokens["%p"]),
        user=tokens["%r"],
        identity_files=own_key or _keys(settings, tokens),
        identities_only=_first(settings, "identitiesonly") in ("yes", "true"),
        jump=_through(via, config, (*seen, host)),
        agent=_agent(settings, tokens),
        alias=_first(settings, "hostkeyalias"),
        known_hosts=_known_hosts(settings, tokens),
        route=Route(
            family=_first(settings, "addressfamily", "any"),
            address=_first(settings, "bindaddress"),
            interface=_first(settings, "bindinterface"),
        ),
    )


def _require_supported(host: str, settings: Settings, via: str) -> None:
    if via == "none" and _first(settings, "proxycommand", "none") != "none":
        raise IdentityError(
            f"{host}: ProxyCommand in ~/.ssh/config is not supported",
            hint="ProxyJump does the same for a tunnel through SSH",
        )
    if _first(settings, "revokedhostkeys", "none") != "none":
        raise IdentityError(
            f"{host}: RevokedHostKeys in ~/.ssh/config is not supported",
            hint="put the keys into a known_hosts file, each in a line that begins with @revoked",
        )


def _through(via: str, config: Path | None, seen: tuple[str, ...]) -> Login | None:
    """`a,b`: first to a, from there to b. What the configuration says of b's own way does not count
    then, as with OpenSSH."""
    if via == "none":
        return None
    *before, last = via.split(",")
    user, host, port = split_address(last.strip().removeprefix("ssh://").rstrip("/"))
    return _resolve(host, port, user, None, config, seen, jumps=",".join(before) or None)


def _tokens(host: str, settings: Settings) -> dict[str, str]:
    """What stands for what in the paths of a configuration (ssh_config(5), TOKENS)."""
    home = str(next(iter(below_ssh_home()), ""))
    machine = socket.gethostname()
    hostname = _first(settings, "hostname", host)
    user = _first(settings, "user") or user_name()
    return {
        "%%": "%",
        "%d": home,
        "%h": hostname,
        "%i": str(os.getuid()),
        "%k": _first(settings, "hostkeyalias", host),
        "%L": machine.partition(".")[0],
        "%l": machine,
        "%n": host,
        "%p": _first(settings, "port", "22"),
        "%r": user,
    }


def _keys(settings: Settings, tokens: Mapping[str, str]) -> tuple[str, ...] | None:
    files = settings.get("identityfile")
    if files is None or (
        set(files) >= USUAL_KEYS and all(file.startswith("~/.ssh/id_") for file in files)
    ):
        return None
    return tuple(_path(file, tokens) for file in files if file.lower() != "none")


def _known_hosts(settings: Settings, tokens: Mapping[str, str]) -> tuple[str, ...] | None:
    if not settings.keys() & USUAL_FILES.keys():
        return None
    files = [file for key, usual in USUAL_FILES.items() for file in settings.get(key, usual)]
    return tuple(_path(file, tokens) for file in files if file.lower() != "none")


def _agent(settings: Settings, tokens: Mapping[str, str]) -> str | None:
    written = _first(settings, "identityagent", "SSH_AUTH_SOCK")
    if written == "SSH_AUTH_SOCK":
        return None
    if written.startswith("$") and not written.startswith("${"):
        return os.environ.get(written[1:], "")
    return "" if written.lower() == "none" else _path(written, tokens)


def _path(written: str, tokens: Mapping[str, str]) -> str:
    """With `~`, `${VARIABLE}` and tokens replaced; what is not known stays as it is."""
    if written == "~" or written.startswith("~/"):
        written = tokens["%d"] + written[1:]
    written = re.sub(r"\$\{(\w+)\}", lambda m: os.environ.get(m[1], m[0]), written)
    if "%u" in written:
        tokens = {**tokens, "%u": user_name()}
    return re.sub("%.", lambda m: tokens.get(m[0], m[0]), written)


def _first(settings: Settings, keyword: str, otherwise: str = "") -> str:
    return next(iter(settings.get(keyword, ())), otherwise)
