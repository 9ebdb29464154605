"""Logging in to a server: keys of the agent, key files, then a password. Owns the order of
attempts and all prompts.

Nothing asks without a terminal, and no secret is kept: a password comes from EDGEKIT_SSH_PASSWORD
or a prompt, a key's passphrase from a prompt only."""

from __future__ import annotations

import base64
import getpass
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko
from paramiko.agent import Agent, AgentKey
from paramiko.pkey import UnknownKeyType

from edgekit.devices.ssh_config import Login
from edgekit.errors import IdentityError
from edgekit.places import below_home

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
PASSWORD = "EDGEKIT_SSH_PASSWORD"
PROMPTS = 3
_asking = threading.Lock()
"""Several targets are reached at once, and there is one terminal."""


class Authentication:
    """What paramiko's `auth_strategy` asks for. `where` is how messages call the machine. Without
    `ask` the user is never prompted."""

    def __init__(self, login: Login, where: str, *, ask: bool) -> None:
        self._login, self._where, self._prompts = login, where, PROMPTS if ask else 0
        self._locked: list[Path] = []
        """Key files that are encrypted, and could not be used for it."""

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Raises IdentityError with what was tried, and what paramiko raises when the connection
        breaks."""
        user, tried = self._login.user, list[str]()
        try:
            transport.auth_none(user)
            return
        except paramiko.BadAuthenticationType as answer:
            allowed = set(answer.allowed_types)
        with _agent() as agent:
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
        """The keys named for this machine, from the agent before the file; then the agent's others;
        then the usual files."""
        named = [Path(file) for file in self._login.identity_files if Path(file).is_file()]
        publics = [public for file in named if (public := _public(file))]
        yield from (("a key of the agent", key) for key in agent if key.asbytes() in publics)
        for file in named:
            if key := self._load(file):
                yield str(file), key
        if not self._login.identities_only:
            yield from (
                ("a key of the agent", key) for key in agent if key.asbytes() not in publics
            )
        if not self._login.identity_files:
            for name in DEFAULT_KEYS:
                for file in below_home(".ssh", name):
                    if file.is_file() and (key := self._load(file)):
                        yield str(file), key

    def _load(self, file: Path) -> paramiko.PKey | None:
        """The key in a file, decrypted by a passphrase asked for on a terminal; None for one that
        stays locked."""
        try:
            return paramiko.PKey.from_path(file)
        except (
            paramiko.PasswordRequiredException,
            TypeError,
        ):  # TypeError: how the library below says that a passphrase is missing
            self._locked.append(file)
        except (paramiko.SSHException, UnknownKeyType, ValueError, OSError) as error:
            raise IdentityError(
                f"{self._where}: {file}: not a private key that can be used: {error}",
                hint="is it the .pub file?",
            ) from None
        for passphrase in _ask(f"Passphrase of {file}: ", self._prompts):
            try:
                key = paramiko.PKey.from_path(file, passphrase.encode())  # type: ignore[arg-type]  # it wants bytes, whatever it declares
            except (paramiko.SSHException, ValueError):
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
        details: dict[str, object] = {"tried": list(tried), "allowed": sorted(allowed)}
        if self._locked:
            names = ", ".join(map(str, self._locked))
            hint = f"load it into the agent: ssh-add {self._locked[0]}"
            return IdentityError(
                f"{self._where}: login refused: the private key {names} is encrypted",
                hint=hint,
                details=details,
            )
        missing = [file for file in self._login.identity_files if not Path(file).is_file()]
        if missing and not tried:
            return IdentityError(
                f"{self._where}: login refused: there is no key file {missing[0]}",
                hint="check identity_file",
                details=details,
            )
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
        return IdentityError(
            f"{self._where}: login refused: {what}",
            hint=f"{way}; `ssh` with the same settings must work without a prompt",
            details=details,
        )


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


@contextmanager
def _agent() -> Iterator[Sequence[AgentKey]]:
    """The keys of the agent, if there is one, while the block runs."""
    try:
        agent = Agent()
    except (paramiko.SSHException, OSError):
        yield ()
        return
    try:
        yield agent.get_keys()
    finally:
        agent.close()


def _public(file: Path) -> bytes | None:
    """The public part of a key file as its neighbour `.pub` has it; by it a key is found in the
    agent without its passphrase."""
    try:
        _, data = Path(f"{file}.pub").read_text(encoding="utf-8").split()[:2]
        return base64.b64decode(data)
    except (OSError, ValueError):
        return None


def _ask(prompt: str, times: int) -> Iterator[str]:
    """What the user types, up to so many times; nothing without a terminal."""
    for _ in range(times):
        if not (sys.stdin and sys.stdin.isatty()):
            return
        with _asking:
            yield getpass.getpass(prompt)
