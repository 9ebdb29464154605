"""Getting into a board over SSH: `~/.ssh/config`, host keys, jump hosts, keys and agent. Runs nothing on the board.

Host keys are looked up in the user's known_hosts and in edgekit's own (written by `edgekit target trust`); an unknown or changed
key is an IdentityError before anything is sent. A password comes from EDGEKIT_SSH_PASSWORD or a prompt on a terminal, never from a file.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import paramiko
import platformdirs

from edgekit.device.ssh import SshDevice, Transport
from edgekit.errors import EdgekitError, IdentityError, TransportError
from edgekit.target import SshTarget

CONNECT_S = 15.0
KEEPALIVE_S = 10


@dataclass(frozen=True)
class Login:
    """Where and as whom, after `~/.ssh/config` was applied. `jump` is another Login to tunnel through."""

    host: str
    port: int
    user: str
    identity_files: tuple[str, ...]
    jump: Login | None = None


def known_hosts_files() -> tuple[Path, ...]:
    """The files whose keys count; `target trust` writes to the last."""
    return (Path.home() / ".ssh" / "known_hosts", Path("/etc/ssh/ssh_known_hosts"), Path(platformdirs.user_config_dir("edgekit")) / "known_hosts")


def resolve(host: str, *, port: int | None, user: str | None, identity_file: str | None, config: Path | None = None, depth: int = 0) -> Login:
    """Apply the user's SSH configuration to a host or alias; what is given here wins.

    Raises IdentityError: an unreadable configuration, or jump hosts that lead in a circle.
    """
    if depth > 8:
        raise IdentityError(f"{host}: the jump hosts lead in a circle", hint="check ProxyJump in ~/.ssh/config")
    path = config or Path.home() / ".ssh" / "config"
    try:
        settings = paramiko.SSHConfig.from_path(str(path)).lookup(host) if path.is_file() else {}
    except (paramiko.ConfigParseError, OSError, UnicodeDecodeError) as error:
        raise IdentityError(f"{path}: {error}", hint="mend the file; `ssh -G HOST` shows what OpenSSH makes of it") from None
    jump = None
    via = settings.get("proxyjump", "none")
    if via != "none":
        jump_user, _, jump_address = via.rpartition("@")
        jump_host, _, jump_port = jump_address.partition(":")
        jump = resolve(
            jump_host, port=int(jump_port) if jump_port else None, user=jump_user or None, identity_file=None, config=config, depth=depth + 1
        )
    files = (identity_file,) if identity_file else tuple(settings.get("identityfile", ()))
    return Login(
        host=settings.get("hostname", host),
        port=port or int(settings.get("port", 22)),
        user=user or settings.get("user") or getpass.getuser(),
        identity_files=tuple(os.path.expanduser(file) for file in files),
        jump=jump,
    )


def connect_target(target: SshTarget) -> SshDevice:
    """The device of a target of kind ssh. Raises what `resolve` and `connect` raise."""
    return connect(target.name, login_of(target))


def login_of(target: SshTarget) -> Login:
    """Where and as whom a target is reached, with what `~/.ssh/config` adds."""
    return resolve(target.host, port=target.port, user=target.user, identity_file=target.identity_file)


def connect(name: str, login: Login) -> SshDevice:
    """An authenticated connection. Raises TransportError (unreachable, no SSH there), IdentityError (host key, authentication)."""
    clients: list[paramiko.SSHClient] = []
    try:
        _open(name, login, clients)
    except BaseException:
        for client in clients:
            client.close()
        raise
    return SshDevice(name, clients)


def _open(name: str, login: Login, clients: list[paramiko.SSHClient]) -> paramiko.SSHClient:
    """Connect through the jump hosts; the board's client comes first in `clients`."""
    sock = None
    if login.jump is not None:
        through = _open(name, login.jump, clients).get_transport()
        assert through is not None
        sock = through.open_channel("direct-tcpip", (login.host, login.port), ("127.0.0.1", 0), timeout=CONNECT_S)
    client = paramiko.SSHClient()
    clients.insert(0, client)
    for file in known_hosts_files():
        if file.is_file():
            client.load_host_keys(str(file)) if os.access(file, os.W_OK) else client.load_system_host_keys(str(file))
    client.set_missing_host_key_policy(_Refuse())
    where = f"{name} ({login.user}@{login.host}:{login.port})"
    try:
        client.connect(
            login.host,
            port=login.port,
            username=login.user,
            key_filename=[file for file in login.identity_files if Path(file).is_file()] or None,  # type: ignore[arg-type]  # a list is documented
            password=os.environ.get("EDGEKIT_SSH_PASSWORD"),
            timeout=CONNECT_S,
            banner_timeout=CONNECT_S,
            auth_timeout=CONNECT_S,
            channel_timeout=CONNECT_S,
            sock=sock,
            transport_factory=Transport,
        )
    except Exception as error:
        raise _translated(error, where, name, login) from None
    transport = client.get_transport()
    assert transport is not None
    transport.set_keepalive(KEEPALIVE_S)
    return client


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _UnknownKey(fingerprint(key))


class _UnknownKey(Exception):
    """Carries the fingerprint of the key a server showed."""


def fingerprint(key: paramiko.PKey) -> str:
    """As `ssh-keygen -l` prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def _translated(error: Exception, where: str, name: str, login: Login) -> EdgekitError:
    if isinstance(error, _UnknownKey):
        return IdentityError(f"{where}: unknown host key {error}", hint=f"compare it with the board's own, then `edgekit target trust {name}`")
    if isinstance(error, paramiko.BadHostKeyException):
        shown, expected = fingerprint(error.key), fingerprint(error.expected_key)
        hint = "if the board was flashed anew, remove its old line from known_hosts; if not, somebody is in between"
        return IdentityError(f"{where}: the host key CHANGED: {shown}, known is {expected}", hint=hint)
    if isinstance(error, paramiko.PasswordRequiredException):
        return IdentityError(f"{where}: the private key is encrypted", hint="load it into the agent: ssh-add KEYFILE")
    if isinstance(error, paramiko.AuthenticationException):
        return IdentityError(
            f"{where}: not let in: {error}", hint="check the user and the key; `ssh` with the same settings must work without a prompt"
        )
    if isinstance(error, socket.gaierror):
        return TransportError(f"{where}: no such host: {login.host}", hint="check the name, or use the board's IP address")
    return TransportError(f"{where}: {error or type(error).__name__}", hint="is the board on, reachable, and sshd running on that port?")


def trust(name: str, login: Login) -> str:
    """Fetch the host key, record it in edgekit's known_hosts, and return its fingerprint. Does not authenticate.

    Raises TransportError when no SSH server answers.
    """
    try:
        with socket.create_connection((login.host, login.port), timeout=CONNECT_S) as sock:
            transport = Transport(sock)
            transport.start_client(timeout=CONNECT_S)
            key = transport.get_remote_server_key()
            transport.close()
    except (OSError, paramiko.SSHException, EOFError) as error:
        raise TransportError(
            f"{name} ({login.host}:{login.port}): {error}", hint="is the board on, reachable, and sshd running on that port?"
        ) from None
    file = known_hosts_files()[-1]
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = paramiko.HostKeys(str(file)) if file.is_file() else paramiko.HostKeys()
    keys.add(login.host if login.port == 22 else f"[{login.host}]:{login.port}", key.get_name(), key)
    keys.save(str(file))
    return fingerprint(key)
