"""Where and as whom a board is reached: a target's own settings, then `~/.ssh/config`. Opens no
connection.

Of the configuration Host, Match, Include, HostName, Port, User, IdentityFile, IdentitiesOnly and
ProxyJump count. `StrictHostKeyChecking no` does not: host keys are always verified. ProxyCommand is
refused, because it is a shell string; ProxyJump does the same for SSH."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path

import paramiko

from edgekit.errors import IdentityError, UsageError
from edgekit.places import below_home, user_name

MAX_INCLUDES = 16
MAX_JUMPS = 8
IPV6 = r"(?=[^:]*:[^:]*:)[0-9a-fA-F:.]+(?:%[A-Za-z0-9._-]+)?"
ADDRESS = (
    r"(?:(?P<user>[^@]+)@)?"
    rf"(?:\[(?P<bracketed>{IPV6})\]|(?P<host>{IPV6}|[^:@\[\]]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True)
class Login:
    """Where and as whom, after the configuration was applied. `jump` is another Login to tunnel
    through; `identities_only` leaves the agent's other keys out."""

    host: str
    port: int
    user: str
    identity_files: tuple[str, ...] = ()
    identities_only: bool = False
    jump: Login | None = None

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def known_as(self) -> str:
        """The name in a known_hosts file."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

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

    Raises IdentityError: an unreadable configuration, jump hosts that lead in a circle, a
    ProxyCommand. Raises UsageError: the system has no name for this user."""
    path = config or next(iter(below_home(".ssh", "config")), Path(os.devnull))
    try:
        settings = (
            paramiko.SSHConfig.from_text("\n".join(_lines(path)))
            if path.is_file()
            else paramiko.SSHConfig()
        )
        return _resolve(settings, host, port, user, identity_file, ())
    except (
        paramiko.ConfigParseError,
        paramiko.CouldNotCanonicalize,
        OSError,
        ValueError,
        ImportError,
    ) as error:
        # ImportError: paramiko needs another package to run the command of a `Match exec`
        raise IdentityError(
            f"{path}: {error}", hint="mend the file; `ssh -G HOST` shows what OpenSSH makes of it"
        ) from None


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
    settings: paramiko.SSHConfig,
    host: str,
    port: int | None,
    user: str | None,
    identity_file: str | None,
    seen: tuple[str, ...],
    jumps: str | None = None,
) -> Login:
    if len(seen) > MAX_JUMPS or host in seen:
        raise IdentityError(
            f"{host}: the jump hosts lead in a circle", hint="check ProxyJump in ~/.ssh/config"
        )
    own_name = user_name()  # which paramiko asks for, too
    configured = settings.lookup(host)
    via = configured.get("proxyjump", "none") if jumps is None else jumps
    if "proxycommand" in configured and via == "none":
        raise IdentityError(
            f"{host}: ProxyCommand in ~/.ssh/config is not supported",
            hint="ProxyJump does the same for a tunnel through SSH",
        )
    files = (identity_file,) if identity_file else tuple(configured.get("identityfile", ()))
    return Login(
        host=configured.get("hostname", host),
        port=port or int(configured.get("port", 22)),
        user=user or configured.get("user") or own_name,
        identity_files=tuple(os.path.expanduser(file) for file in files),
        identities_only=configured.get("identitiesonly", "no") == "yes",
        jump=_through(settings, via, (*seen, host)),
    )


def _through(settings: paramiko.SSHConfig, via: str, seen: tuple[str, ...]) -> Login | None:
    """`a,b`: first to a, from there to b. What the configuration says of b's own way does not count
    then, as with OpenSSH."""
    if via == "none":
        return None
    *before, last = via.split(",")
    user, host, port = split_address(last.strip().removeprefix("ssh://").rstrip("/"))
    return _resolve(settings, host, port, user, None, seen, jumps=",".join(before) or None)


def _lines(path: Path, depth: int = 0) -> list[str]:
    """A configuration with what it includes in place (paramiko leaves that out). After an Include,
    the block around it goes on."""
    lines, block = [], "Host *"
    base = next(iter(below_home(".ssh")), path.parent)
    for line in path.read_text(encoding="utf-8").splitlines():
        keyword, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() == "include" and depth < MAX_INCLUDES:
            for pattern in rest.replace('"', "").split():
                for file in sorted(glob.glob(str(base / os.path.expanduser(pattern)))):
                    lines += [*_lines(Path(file), depth + 1), block]
            continue
        if keyword.lower() in ("host", "match"):
            block = line
        lines.append(line)
    return lines
