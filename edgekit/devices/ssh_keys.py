"""Known host keys: which files count, what they say of a key, and writing one down. Opens no
connection.

The first file is edgekit's own, and what it says of a kind of key decides. In the user's and the
system's files any line about a machine counts, as with OpenSSH; a key marked `@revoked` is never
trusted. A line that is damaged or of another kind is left out, with a warning. Source: sshd(8),
SSH_KNOWN_HOSTS FILE FORMAT."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import paramiko
from paramiko.pkey import UnknownKeyType

from edgekit.devices.ssh_config import USUAL_FILES, Login
from edgekit.devices.ssh_key_files import public_key
from edgekit.devices.ssh_patterns import listed
from edgekit.errors import IdentityError
from edgekit.places import below_ssh_home, config_directory
from edgekit.sanitize import printable
from edgekit.whole_file import whole_file

Standing = Literal["known", "unknown", "changed", "revoked"]
HASHED = "|1|"
_warned: set[str] = set()


@dataclass(frozen=True)
class KnownKey:
    """A key in a known_hosts file; `place` is file and line."""

    key: paramiko.PKey
    place: str


@dataclass(frozen=True)
class KnownKeys:
    """What the files say of a machine. `own` is what the first file says. `others` is what the rest
    say, and `of_any_port` what they say of the host name without the port."""

    own: tuple[KnownKey, ...] = ()
    others: tuple[KnownKey, ...] = ()
    of_any_port: tuple[KnownKey, ...] = ()
    revoked: tuple[KnownKey, ...] = ()

    @property
    def kinds(self) -> set[str]:
        return {known.key.get_name() for known in (*self.own, *self.others, *self.of_any_port)}

    def standing(self, key: paramiko.PKey) -> Standing:
        """What is known of a key that the machine showed."""
        if _among(key, self.revoked):
            return "revoked"
        for keys in (self.own, self.others):
            if same_kind := [known for known in keys if known.key.get_name() == key.get_name()]:
                return "known" if _among(key, same_kind) else "changed"
        if self.own or self.others:
            return "changed"
        return "known" if _among(key, self.of_any_port) else "unknown"

    def expected(self, key: paramiko.PKey) -> KnownKey:
        """The known key that stands against the one shown."""
        keys = (*self.own, *self.others)
        return next((known for known in keys if known.key.get_name() == key.get_name()), keys[0])


def known_hosts_files(login: Login, own: str | None = None) -> tuple[Path, ...]:
    """The files whose keys count for a machine. `trust` writes to the first.

    `own` is a target's `known_hosts`, which then is the only one; else edgekit's own, the user's
    and the system's."""
    if own is not None:
        return (Path(own),)
    users = below_ssh_home(".ssh", "known_hosts") + below_ssh_home(".ssh", "known_hosts2")
    usual = (*users, *map(Path, USUAL_FILES["globalknownhostsfile"]))
    configured = None if login.known_hosts is None else tuple(map(Path, login.known_hosts))
    own_directory = config_directory()
    return (
        *((own_directory / "known_hosts",) if own_directory else ()),
        *(usual if configured is None else configured),
    )


def known_keys(login: Login, files: Sequence[Path]) -> KnownKeys:
    """What the files say of a machine. Raises IdentityError for a file that cannot be read."""
    name = login.known_as.lower()
    plain = "" if login.alias or login.port == 22 else login.host.lower()
    lists: dict[str, list[KnownKey]] = {field.name: [] for field in fields(KnownKeys)}
    for number, file in enumerate(files):
        for marker, names, known in _entries(file, (name, plain)):
            if marker == "@revoked":
                lists["revoked"].append(known)
            elif name not in names:
                lists["of_any_port"].append(known)
            else:
                lists["others" if number else "own"].append(known)
    return KnownKeys(**{field: tuple(keys) for field, keys in lists.items()})


def record(login: Login, key: paramiko.PKey, file: Path) -> None:
    """Write a key down as the first line. The file is replaced by one rename.

    What other lines say of this machine goes; a pattern that names others too stays. Raises
    IdentityError."""
    line = f"{login.known_as} {key.get_name()} {key.get_base64()}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = _text(file).splitlines() if file.exists() else []
        others = [rest for other in before if (rest := _without(login.known_as, other)) is not None]
        text = "".join(f"{text}\n" for text in (line, *others))
        with whole_file(file) as staged:
            staged.write_bytes(text.encode("utf-8", "surrogateescape"))
    except (OSError, ValueError) as error:
        raise IdentityError(
            f"{file}: the host key cannot be recorded: {error}", hint="check the file's permissions"
        ) from None


def fingerprint(key: paramiko.PKey) -> str:
    """As `ssh-keygen -l` prints it: `SHA256:…`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def _among(key: paramiko.PKey, known: Sequence[KnownKey]) -> bool:
    return any(hmac.compare_digest(key.asbytes(), other.key.asbytes()) for other in known)


def _entries(file: Path, names: Sequence[str]) -> Iterator[tuple[str, set[str], KnownKey]]:
    """The lines about a machine of these names: marker, the names that are meant, and the key."""
    try:
        text = _text(file) if file.exists() else ""
    except OSError as error:
        raise IdentityError(
            f"{file}: the known host keys cannot be read: {error.strerror}",
            hint="make the file readable, or move it away",
        ) from None
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{file}:{number}"
        marker, words = "", line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith("@"):
            marker = words.pop(0).lower()
        meant = {name for name in names if name and _names(name, words[0] if words else "")}
        if marker not in ("", "@revoked"):
            if meant:
                _warn(f"{place}: {printable(marker)} is not supported")
            continue
        try:
            kind, blob = public_key(words[1:])
            if meant:
                yield marker, meant, KnownKey(paramiko.PKey.from_type_string(kind, blob), place)
        except UnknownKeyType:  # such as DSA: no server shows one here
            continue
        except Exception:  # whatever the libraries make of damaged bytes
            _warn(f"{place}: the line is damaged or of an unknown kind")


def _names(name: str, written: str) -> bool:
    """Whether the first field of a line means a machine."""
    if not written.startswith(HASHED):
        return listed(name, written.lower().split(","))
    try:
        salt, digest = (base64.b64decode(part) for part in written[len(HASHED) :].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _without(name: str, line: str) -> str | None:
    """A line without a machine's name; None where nothing is left of it."""
    written, separator, rest = line.partition(" ")
    if written.startswith(("@", "#")):
        return line
    if written.startswith(HASHED):
        return None if _names(name.lower(), written) else line
    others = [other for other in written.split(",") if other.lower() != name.lower()]
    return ",".join(others) + separator + rest if others else None


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="surrogateescape")


def _warn(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        logging.getLogger(__name__).warning("warning: %s: it is left out", text)
