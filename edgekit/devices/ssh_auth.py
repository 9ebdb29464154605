"""Logging in to a server: keys of the agent, key files, then a password. Owns the order of
attempts and all prompts.

A key that cannot be used is left out with a warning, and the next is tried. Nothing asks without a
terminal, and no secret is kept: a password comes from EDGEKIT_SSH_PASSWORD or a prompt, a key's
passphrase from a prompt only."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko
from paramiko.agent import AgentKey, AgentSSH

from edgekit.devices import ssh_key_files
from edgekit.devices.ssh_config import Login
from edgekit.devices.ssh_key_files import Encrypted, Unusable, public_part
from edgekit.errors import IdentityError
from edgekit.places import below_ssh_home

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
PASSWORD = "EDGEKIT_SSH_PASSWORD"
PROMPTS = 3
AGENT_S = 30.0
"""An agent may ask its user before it signs."""
_asking = threading.Lock()
"""Several targets are reached at once, and there is one terminal."""
_warned: set[str] = set()


class Authentication:
    """What paramiko's `auth_strategy` asks for. `where` is how messages call the machine. Without
    `ask` the user is never prompted."""

    def __init__(self, login: Login, where: str, *, ask: bool) -> None:
        self._login, self._where, self._prompts = login, where, PROMPTS if ask else 0
        self._named = [Path(file) for file in login.identity_files or ()]
        self._named_only = login.identity_files is not None
        self._locked: list[Path] = []
        """Key files that are encrypted, and could not be used for it."""
        self._unusable: dict[Path, str] = {}
        """Key files that cannot be used, and why."""

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Raises IdentityError with what was tried, and what paramiko raises when the connection
        breaks."""
        user, tried = self._login.user, list[str]()
        try:
            transport.auth_none(user)
            return
        except paramiko.BadAuthenticationType as answer:
            allowed = set(answer.allowed_types)
        with _agent(self._login.agent) as agent:
            if "publickey" in allowed:
                for label, key in self._keys(agent):
                    tried.append(label)
                    if _accepted(transport, user, key):
                        return
            if allowed & {"password", "keyboard-interactive"}:
                for password in self._passwords():
                    tried.append("a password")
                    if _accepted(transport, user, password):
                        return
        raise self._refused(tried, allowed)

    def _keys(self, agent: Sequence[AgentKey]) -> Iterator[tuple[str, paramiko.PKey]]:
        """The keys of the agent that are in the files named for this machine, or else in the usual
        ones; the files that are named; the agent's others; the usual files."""
        named, usual = self._named, [] if self._named_only else _usual_files()
        publics = {file: public_part(file) for file in (*named, *usual)}
        in_agent = {key.asbytes(): key for key in agent}
        expected = [key for blob, key in in_agent.items() if blob in publics.values()]
        others = [key for key in in_agent.values() if key not in expected]
        yield from (("a key of the agent", key) for key in expected)
        yield from self._in_files(file for file in named if publics[file] not in in_agent)
        if not self._login.identities_only:
            yield from (("a key of the agent", key) for key in others)
        yield from self._in_files(file for file in usual if publics[file] not in in_agent)

    def _in_files(self, files: Iterable[Path]) -> Iterator[tuple[str, paramiko.PKey]]:
        for file in files:
            if file.is_file() and (key := self._load(file)):
                yield str(file), key

    def _load(self, file: Path) -> paramiko.PKey | None:
        """The key in a file, decrypted by a passphrase asked for on a terminal; None for one that
        stays locked or cannot be used."""
        try:
            return ssh_key_files.load(file)
        except Encrypted:
            self._locked.append(file)
        except Unusable as reason:
            self._unusable[file] = str(reason)
            _warn(f"{file}: {reason}")
            return None
        for passphrase in _ask(f"Passphrase of {file}: ", self._prompts):
            try:
                key = ssh_key_files.load(file, passphrase)
            except (Encrypted, Unusable):
                continue
            self._locked.remove(file)
            return key
        return None

    def _passwords(self) -> Iterator[str]:
        if password := os.environ.get(PASSWORD):
            yield password
        else:
            yield from _ask(f"Password of {self._where}: ", self._prompts)

    def _refused(self, tried: Sequence[str], allowed: set[str]) -> IdentityError:
        reason, hint = self._reason(tried, allowed)
        details: dict[str, object] = {"tried": list(tried), "allowed": sorted(allowed)}
        return IdentityError(f"{self._where}: login refused: {reason}", hint=hint, details=details)

    def _reason(self, tried: Sequence[str], allowed: set[str]) -> tuple[str, str]:
        """Why nothing let the user in, and what to do."""
        if self._locked:
            names = ", ".join(map(str, self._locked))
            return (
                f"the private key {names} is encrypted",
                f"load it into the agent: ssh-add {self._locked[0]}",
            )
        if self._unusable and not tried:
            file, reason = next(iter(self._unusable.items()))
            return f"{file}: {reason}", "check identity_file, or IdentityFile in ~/.ssh/config"
        missing = [file for file in self._named if not file.is_file()]
        if missing and not tried:
            return f"there is no key file {missing[0]}", "check identity_file"
        what = (
            f"tried {', '.join(dict.fromkeys(tried))}"
            if tried
            else "there is no key to offer, neither in the agent nor in ~/.ssh"
        )
        way = (
            f"`ssh-copy-id` copies your key to the machine; or set {PASSWORD}"
            if "password" in allowed
            else "check the user and the key"
        )
        return what, f"{way}; `ssh` with the same settings must work without a prompt"


def _usual_files() -> list[Path]:
    """The key files that are tried where none are named."""
    return [file for name in DEFAULT_KEYS for file in below_ssh_home(".ssh", name)]


def _accepted(transport: paramiko.Transport, user: str, proof: paramiko.PKey | str) -> bool:
    """Whether the server accepts it. edgekit has no second factor, so an answer that asks for one
    is a refusal."""
    try:
        further_steps = (
            transport.auth_password(user, proof)
            if isinstance(proof, str)
            else transport.auth_publickey(user, proof)
        )
    except paramiko.AuthenticationException:
        return False
    except paramiko.SSHException as error:
        if transport.is_active():
            return False
        raise paramiko.AuthenticationException(f"the server hung up: {error}") from None
    return not further_steps


class _Agent(AgentSSH):
    """An ssh-agent behind a socket. paramiko's own takes no other than that of SSH_AUTH_SOCK."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connect(connection)  # type: ignore[attr-defined]  # not in paramiko's stubs


@contextmanager
def _agent(place: str | None) -> Iterator[Sequence[AgentKey]]:
    """The keys of the agent, if there is one, while the block runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(AGENT_S)
        try:
            connection.connect(os.environ.get("SSH_AUTH_SOCK", "") if place is None else place)
            keys = _Agent(connection).get_keys()
        except (paramiko.SSHException, OSError, ValueError):
            keys = ()
        yield keys


def _warn(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        logging.getLogger(__name__).warning("warning: %s; this key is left out", text)


def _ask(prompt: str, times: int) -> Iterator[str]:
    """What the user types, up to so many times; nothing without a terminal."""
    for _ in range(times):
        if not (sys.stdin and sys.stdin.isatty()):
            return
        with _asking:
            yield getpass.getpass(prompt)
