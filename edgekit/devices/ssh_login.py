"""Logging in to a board over SSH: jump hosts, host keys, authentication. Runs
nothing on the board.

An unknown or changed host key is an IdentityError before anything is sent. Settings are resolved in
ssh_config.py, known keys kept by ssh_keys.py, and ssh_auth.py proves who we are."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import paramiko

from edgekit.cancel import Cancel
from edgekit.devices.ssh import SshDevice
from edgekit.devices.ssh_auth import Authentication
from edgekit.devices.ssh_config import Login, resolve
from edgekit.devices.ssh_keys import (
    Standing,
    fingerprint,
    known_hosts_files,
    known_keys,
    load_known_hosts,
    record,
    standing,
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

UNREACHABLE = "is the board on, reachable, and sshd running on that port?"


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
    files = known_hosts_files(known_hosts)
    connect_s = timeouts.connect_seconds

    def reach(ask: bool) -> list[paramiko.SSHClient]:
        clients: list[paramiko.SSHClient] = []
        try:
            _open(name, login, clients, connect_s, files, cancel, ask=ask)
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
    connect_s, files = (timeouts or Timeouts()).connect_seconds, known_hosts_files(known_hosts)
    shown_keys = []
    for hop in login.hops:
        key = _offered_key(name, hop, connect_s, files)
        host_key = HostKey(
            hop.known_as, key.get_name(), fingerprint(key), standing(hop, key, files)
        )
        if host_key.standing != "known":
            if not confirm(host_key):
                raise IdentityError(
                    f"{name}: the host key {host_key.fingerprint} of {host_key.machine} was not"
                    " trusted",
                    hint=_compare(name),
                )
            record(hop, key, files[0])
        shown_keys.append(host_key)
    return tuple(shown_keys)


def _open(
    name: str,
    login: Login,
    clients: list[paramiko.SSHClient],
    connect_s: float,
    files: Sequence[Path],
    cancel: Cancel,
    *,
    ask: bool = True,
) -> paramiko.SSHClient:
    """Connect through the jump hosts; the board's client comes first in `clients`."""
    where = f"{name} ({login})"
    jump = None
    if login.jump is not None:
        jump = _open(name, login.jump, clients, connect_s, files, cancel, ask=ask)
    client = paramiko.SSHClient()
    clients.insert(0, client)
    load_known_hosts(files, client.get_host_keys())
    client.set_missing_host_key_policy(_Refuse())
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
                transport_factory=Transport,
                auth_strategy=Authentication(login, where, ask=ask),  # type: ignore[arg-type]  # what it uses of one
            )
    except EdgekitError:
        raise
    except Exception as error:
        raise _translated(error, where, name, login) from None
    return client


def _way_to(
    login: Login, jump: paramiko.SSHClient | None, where: str, connect_s: float, cancel: Cancel
) -> socket.socket | paramiko.Channel:
    """A connection to a server: over TCP, or through a jump host."""
    if jump is None:
        return dial(login.host, login.port, connect_s, cancel)
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


def _offered_key(name: str, login: Login, connect_s: float, files: Sequence[Path]) -> paramiko.PKey:
    """The key a server shows, of a kind that is known of it if it has one. Does not authenticate to
    it."""
    clients: list[paramiko.SSHClient] = []
    where = f"{name} ({login.host}:{login.port})"
    try:
        jump = None
        if login.jump is not None:
            jump = _open(name, login.jump, clients, connect_s, files, Cancel())
        with _way_to(login, jump, where, connect_s, Cancel()) as way:
            transport = Transport(way)
            transport.banner_timeout = connect_s
            known = known_keys(login, files)
            options = transport.get_security_options()
            options.key_types = sorted(options.key_types, key=lambda kind: kind not in known)
            try:
                transport.start_client(timeout=connect_s)
                return transport.get_remote_server_key()
            finally:
                transport.close()
    except EdgekitError:
        raise
    except Exception as error:
        raise _translated(error, where, name, login) from None
    finally:
        _close(clients)


def _close(clients: Sequence[paramiko.SSHClient]) -> None:
    for client in clients:
        with suppress(OSError, EOFError):
            client.close()


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        raise _UnknownKey(f"{key.get_name()} {fingerprint(key)}")


class _UnknownKey(Exception):
    """Carries the fingerprint of the key a server showed."""


def _compare(name: str) -> str:
    return (
        "compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the"
        f" machine itself, then `edgekit target trust {name}`"
    )


def _translated(error: Exception, where: str, name: str, login: Login) -> EdgekitError:
    if isinstance(error, _UnknownKey):
        return IdentityError(f"{where}: unknown host key {error}", hint=_compare(name))
    if isinstance(error, paramiko.BadHostKeyException):
        shown, expected = (
            f"{key.get_name()} {fingerprint(key)}" for key in (error.key, error.expected_key)
        )
        hint = (
            f"if the machine was reinstalled: `edgekit target trust {name}`; "
            f"`ssh-keygen -R {login.known_as}` for OpenSSH; if not, someone may be intercepting the"
            " connection"
        )
        return IdentityError(
            f"{where}: the host key CHANGED: {shown}, known is {expected}", hint=hint
        )
    if isinstance(error, paramiko.AuthenticationException):
        hint = "check the user and the key; `ssh` with the same settings must work without a prompt"
        return IdentityError(f"{where}: login refused: {error}", hint=hint)
    if isinstance(error, socket.gaierror):
        return TransportError(
            f"{where}: no such host: {login.host}",
            hint="check the name, or use the board's IP address",
        )
    reason = (
        os.strerror(error.errno)
        if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0
        else error
    )
    return TransportError(f"{where}: {str(reason) or type(error).__name__}", hint=UNREACHABLE)
