"""Errors on the way to a server: what paramiko and the system raise, and host keys that are not
known, each with what to do."""

from __future__ import annotations

import os
import socket

import paramiko

from edgekit.devices.ssh_config import Login
from edgekit.devices.ssh_keys import KnownKeys, fingerprint
from edgekit.errors import EdgekitError, IdentityError, TransportError

UNREACHABLE = "is the board on, reachable, and sshd running on that port?"
NO_SUCH_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def compare(then: str) -> str:
    """How to find out whether a host key is the machine's own."""
    return (
        "compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the"
        f" machine itself, then {then}"
    )


def refused_key(
    name: str, where: str, login: Login, key: paramiko.PKey, known: KnownKeys
) -> IdentityError:
    """The error for a host key that is not known."""
    shown, standing = f"{key.get_name()} {fingerprint(key)}", known.standing(key)
    if standing == "revoked":
        return IdentityError(
            f"{where}: the host key {shown} is REVOKED ({known.revoked[0].place})",
            hint="somebody who is not this machine may have the key: ask who marked it",
        )
    if standing == "unknown":
        return IdentityError(
            f"{where}: unknown host key {shown}", hint=compare(f"`edgekit target trust {name}`")
        )
    expected = known.expected(key)
    return IdentityError(
        f"{where}: the host key CHANGED: {shown}, known is {expected.key.get_name()}"
        f" {fingerprint(expected.key)} ({expected.place})",
        hint=f"if the machine was reinstalled: `edgekit target trust {name}`; "
        f"`ssh-keygen -R {login.known_as}` for OpenSSH; if not, someone may be intercepting the"
        " connection",
    )


def translated(error: Exception, where: str, login: Login) -> EdgekitError:
    """What connecting or logging in raised, as an error for the user."""
    if isinstance(error, paramiko.AuthenticationException):
        hint = "check the user and the key; `ssh` with the same settings must work without a prompt"
        return IdentityError(f"{where}: login refused: {error}", hint=hint)
    if isinstance(error, socket.gaierror) and error.errno in NO_SUCH_HOST:
        return TransportError(
            f"{where}: no such host: {login.host}",
            hint="check the name, or use the board's IP address",
        )
    if isinstance(error, socket.gaierror):
        return TransportError(
            f"{where}: the address of {login.host} cannot be found out: {error.strerror}",
            hint="does the name service answer? or use the board's IP address",
        )
    reason = (
        os.strerror(error.errno)
        if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0
        else error
    )
    return TransportError(f"{where}: {str(reason) or type(error).__name__}", hint=UNREACHABLE)
