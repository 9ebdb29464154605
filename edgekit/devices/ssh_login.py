"""Logging in to a board over SSH: jump hosts, host keys, authentication. Runs
nothing on the board.

A host key that is unknown, changed or revoked is an IdentityError before anything is sent. Settings
are resolved in ssh_config.py, known keys kept by ssh_keys.py, and ssh_auth.py proves who we are."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import paramiko

from edgekit.cancel import Cancel
from edgekit.devices.ssh import SshDevice
from edgekit.devices.ssh_auth import Authentication
from edgekit.devices.ssh_config import Login, resolve
from edgekit.devices.ssh_errors import compare, refused_key, translated
from edgekit.devices.ssh_keys import (
    KnownKeys,
    Standing,
    fingerprint,
    known_hosts_files,
    known_keys,
    record,
)
from edgekit.devices.ssh_transport import Transport
from edgekit.devices.target import SshTarget
from edgekit.devices.target_sections import Timeouts
from edgekit.devices.tcp import dial
from edgekit.errors import EdgekitError, IdentityError, TransportError

__all__ = [
    "HostKey",
    "Login",
    "connect",
    "connect_target",
    "login_of",
    "resolve",
    "trust",
    "trust_target",
]


@dataclass(frozen=True)
class HostKey:
    """The key that a machine on the way showed: `fingerprint` as `ssh-keygen -l` prints it, and
    what was known of that machine before."""

    machine: str
    kind: str
    fingerprint: str
    standing: Standing


Confirm = Callable[[HostKey], bool]


def connect_target(target: SshTarget, cancel: Cancel | None = None) -> SshDevice:
    """The device of a target of kind ssh. Raises what `resolve` and `connect` raise."""
    return connect(
        target.name,
        login_of(target),
        timeouts=target.timeouts,
        known_hosts=target.known_hosts,
        cancel=cancel,
    )


def login_of(target: SshTarget) -> Login:
    """Where and as whom a target is reached, with what `~/.ssh/config` adds."""
    return resolve(
        target.host, port=target.port, user=target.user, identity_file=target.identity_file
    )


def connect(
    name: str,
    login: Login,
    *,
    timeouts: Timeouts | None = None,
    known_hosts: str | None = None,
    cancel: Cancel | None = None,
) -> SshDevice:
    """An authenticated connection. When it is lost it is made again, without asking the user for
    anything. `known_hosts` is a file of host keys that then is the only one.

    Raises TransportError (unreachable, no SSH there), IdentityError (host key, authentication).
    """
    timeouts = timeouts or Timeouts()
    cancel = cancel or Cancel()
    connect_s = timeouts.connect_seconds

    def reach(ask: bool) -> list[paramiko.SSHClient]:
        clients: list[paramiko.SSHClient] = []
        try:
            _open(name, login, clients, connect_s, known_hosts, cancel, ask=ask)
        except BaseException:
            _close(clients)
            raise
        return clients

    return SshDevice(name, reach, timeouts, cancel)


def trust_target(target: SshTarget, confirm: Confirm) -> tuple[HostKey, ...]:
    """Record the host keys of a target that are not known, each after `confirm` agreed to it. See
    `trust`."""
    return trust(
        target.name,
        login_of(target),
        confirm,
        timeouts=target.timeouts,
        known_hosts=target.known_hosts,
    )


def trust(
    name: str,
    login: Login,
    confirm: Confirm = lambda key: True,
    *,
    timeouts: Timeouts | None = None,
    known_hosts: str | None = None,
) -> tuple[HostKey, ...]:
    """Fetch the host keys of a board and of the jump hosts before it, and record those that are
    unknown or changed and that `confirm` agrees to.

    Returns all of them, the board's last. The board itself is not logged in to; a jump host is,
    once its key is trusted. Raises IdentityError (not confirmed, login refused by a jump host),
    TransportError (no SSH server answers)."""
    connect_s = (timeouts or Timeouts()).connect_seconds
    shown_keys = []
    for hop in login.hops:
        key = _offered_key(name, hop, connect_s, known_hosts)
        files = known_hosts_files(hop, known_hosts)
        known = known_keys(hop, files)
        host_key = HostKey(hop.known_as, key.get_name(), fingerprint(key), known.standing(key))
        if host_key.standing == "revoked":
            raise refused_key(name, f"{name} ({hop})", hop, key, known)
        if host_key.standing != "known":
            if not confirm(host_key):
                raise IdentityError(
                    f"{name}: the host key {host_key.fingerprint} of {host_key.machine} was not"
                    " trusted",
                    hint=compare("run this again"),
                )
            record(hop, key, files[0])
        shown_keys.append(host_key)
    return tuple(shown_keys)


def _open(
    name: str,
    login: Login,
    clients: list[paramiko.SSHClient],
    connect_s: float,
    known_hosts: str | None,
    cancel: Cancel,
    *,
    ask: bool = True,
) -> paramiko.SSHClient:
    """Connect through the jump hosts; the board's client comes first in `clients`."""
    where = f"{name} ({login})"
    jump = None
    if login.jump is not None:
        jump = _open(name, login.jump, clients, connect_s, known_hosts, cancel, ask=ask)
    client = paramiko.SSHClient()
    clients.insert(0, client)
    known = known_keys(login, known_hosts_files(login, known_hosts))
    client.set_missing_host_key_policy(_Verify(name, where, login, known))
    try:
        way = _way_to(login, jump, where, connect_s, cancel)
        with cancel.ending(partial(_hang_up, way)):
            client.connect(
                login.host,
                port=login.port,
                username=login.user,
                timeout=connect_s,
                banner_timeout=connect_s,
                auth_timeout=connect_s,
                channel_timeout=connect_s,
                sock=way,
                transport_factory=partial(_transport, known.kinds),
                auth_strategy=Authentication(login, where, ask=ask),  # type: ignore[arg-type]  # what it uses of one
            )
    except EdgekitError:
        raise
    except Exception as error:
        raise translated(error, where, login) from None
    return client


def _way_to(
    login: Login, jump: paramiko.SSHClient | None, where: str, connect_s: float, cancel: Cancel
) -> socket.socket | paramiko.Channel:
    """A connection to a server: over TCP, or through a jump host."""
    if jump is None:
        return dial(login.host, login.port, connect_s, cancel, login.route)
    with cancel.ending(jump.close):
        return _tunnel(jump, login, where, connect_s)


def _tunnel(
    through: paramiko.SSHClient, login: Login, where: str, connect_s: float
) -> paramiko.Channel:
    transport = through.get_transport()
    assert transport is not None
    try:
        return transport.open_channel(
            "direct-tcpip", (login.host, login.port), ("127.0.0.1", 0), timeout=connect_s
        )
    except Exception as error:
        raise TransportError(
            f"{where}: the jump host {login.jump} cannot reach it: {error}",
            hint="check that the jump host allows TCP forwarding",
        ) from None


def _hang_up(way: socket.socket | paramiko.Channel) -> None:
    """End a connection that another thread waits for; closing a socket alone would not wake it."""
    with suppress(OSError, EOFError):
        if isinstance(way, socket.socket):
            way.shutdown(socket.SHUT_RDWR)
        else:
            way.close()


def _offered_key(
    name: str, login: Login, connect_s: float, known_hosts: str | None
) -> paramiko.PKey:
    """The key a server shows, of a kind that is known of it if it has one. Does not authenticate to
    it."""
    clients: list[paramiko.SSHClient] = []
    where = f"{name} ({login.host}:{login.port})"
    try:
        jump = None
        if login.jump is not None:
            jump = _open(name, login.jump, clients, connect_s, known_hosts, Cancel())
        known = known_keys(login, known_hosts_files(login, known_hosts))
        with _way_to(login, jump, where, connect_s, Cancel()) as way:
            transport = _transport(known.kinds, way)
            transport.banner_timeout = connect_s
            try:
                transport.start_client(timeout=connect_s)
                return transport.get_remote_server_key()
            finally:
                transport.close()
    except EdgekitError:
        raise
    except Exception as error:
        raise translated(error, where, login) from None
    finally:
        _close(clients)


def _close(clients: Sequence[paramiko.SSHClient]) -> None:
    for client in clients:
        with suppress(OSError, EOFError):
            client.close()


class _Verify(paramiko.MissingHostKeyPolicy):
    """Lets nothing but known keys pass. paramiko asks it about every key, as it knows none
    itself."""

    def __init__(self, name: str, where: str, login: Login, known: KnownKeys) -> None:
        self._name, self._where, self._login, self._known = name, where, login, known

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        if self._known.standing(key) != "known":
            raise refused_key(self._name, self._where, self._login, key, self._known)


def _transport(kinds: set[str], *args: Any, **options: Any) -> Transport:
    """A transport that asks for host keys of known kinds first."""
    transport = Transport(*args, **options)
    preferred = {*kinds, *(("rsa-sha2-512", "rsa-sha2-256") if "ssh-rsa" in kinds else ())}
    security = transport.get_security_options()
    security.key_types = sorted(security.key_types, key=lambda kind: kind not in preferred)
    return transport
