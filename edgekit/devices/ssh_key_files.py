"""Private key files, as ssh-keygen writes them: which key one holds, and why it cannot be used.
Asks nobody and opens no connection."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

FIDO = re.compile(rb"sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com")
UNUSABLE = (paramiko.SSHException, UnknownKeyType, UnsupportedAlgorithm, ValueError, OSError)


class Encrypted(Exception):
    """A key file needs a passphrase, or another one."""


class Unusable(Exception):
    """A key file cannot be used; says why."""


def public_part(file: Path) -> bytes | None:
    """The public part of a key as its neighbour `.pub` has it, or the file itself where it is a
    public key. By it a key is recognised in the agent without its passphrase."""
    for place in (Path(f"{file}.pub"), file):
        try:
            return public_key(place.read_text(encoding="utf-8").split())[1]
        except (OSError, ValueError):
            continue
    return None


def public_key(words: Sequence[str]) -> tuple[str, bytes]:
    """Kind and bytes of a public key as a line has them. Raises ValueError: they are damaged."""
    kind, data = words[:2]
    blob = base64.b64decode(data, validate=True)
    if not blob.startswith(len(kind).to_bytes(4) + kind.encode()):
        raise ValueError("the key is of another kind than its line says")
    return kind, blob


def load(file: Path, passphrase: str | None = None) -> paramiko.PKey:
    """The key in a file. Raises Encrypted, Unusable."""
    if reason := _needs_the_agent(file):
        raise Unusable(reason)
    password = None if passphrase is None else passphrase.encode()
    try:
        return paramiko.PKey.from_path(file, password)  # type: ignore[arg-type]  # it wants bytes, whatever it declares
    except (paramiko.PasswordRequiredException, TypeError):
        # TypeError: how the library below says that a passphrase is missing
        raise Encrypted(str(file)) from None
    except UNUSABLE as error:
        if passphrase is not None and isinstance(error, paramiko.SSHException | ValueError):
            raise Encrypted(str(file)) from None
        reason = getattr(error, "strerror", None) or "it is damaged, or of a kind not known here"
        raise Unusable(reason) from None


def _needs_the_agent(file: Path) -> str:
    """Why the private part is not in a file; empty when it is."""
    try:
        data = file.read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    if not data.startswith(b"-----BEGIN"):
        return (
            "it is the public part, and the agent does not have the key"
            if public_part(file)
            else "it is not a private key"
        )
    body = b"".join(line for line in data.splitlines() if b"-----" not in line)
    try:
        fido = FIDO.search(base64.b64decode(body))
    except ValueError:  # PEM of another kind, with headers
        fido = None
    return f"a FIDO key works by the agent only: `ssh-add {file}`" if fido else ""
