"""Known host keys: which files count, what they say of a key, and writing one down. Opens no
connection."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import paramiko

from edgekit.devices.ssh_config import Login
from edgekit.errors import IdentityError
from edgekit.places import below_home, config_directory
from edgekit.whole_file import write_whole

Standing = Literal["known", "unknown", "changed"]


def known_hosts_files(own: str | None = None) -> tuple[Path, ...]:
    """The files whose keys count, the first that knows a machine wins. `trust` writes to the first.

    `own` is a target's `known_hosts`, which then is the only one; else edgekit's own, the user's
    and the system's."""
    if own is not None:
        return (Path(own),)
    own_directory = config_directory()
    return (
        *((own_directory / "known_hosts",) if own_directory else ()),
        *below_home(".ssh", "known_hosts"),
        Path("/etc/ssh/ssh_known_hosts"),
    )


def load_known_hosts(files: Sequence[Path], into: paramiko.HostKeys) -> paramiko.HostKeys:
    """Add all entries of the files. Raises IdentityError for a file that cannot be read."""
    for file in files:
        if file.exists():
            try:
                into.load(str(file))
            except (OSError, ValueError, paramiko.SSHException) as error:
                raise IdentityError(
                    f"{file}: the known host keys cannot be read: {error}",
                    hint="mend the file, or move it away",
                ) from None
    return into


def known_keys(login: Login, files: Sequence[Path]) -> dict[str, paramiko.PKey]:
    """By kind of key. Empty: nothing is known of that machine."""
    return dict(load_known_hosts(files, paramiko.HostKeys()).lookup(login.known_as) or {})


def standing(login: Login, key: paramiko.PKey, files: Sequence[Path]) -> Standing:
    """What the files say of the key that a machine showed."""
    known = known_keys(login, files)
    if not known:
        return "unknown"
    return "known" if known.get(key.get_name()) == key else "changed"


def record(login: Login, key: paramiko.PKey, file: Path) -> None:
    """Write a key down as the first line, as the first that names a machine counts. The file is
    replaced by one rename.

    A line about this machine alone goes; one that names others too stays, for their sake. Raises
    IdentityError."""
    line = f"{login.known_as} {key.get_name()} {key.get_base64()}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        others = [other for other in before if other.partition(" ")[0] != login.known_as]
        write_whole(file, "".join(f"{text}\n" for text in (line, *others)))
    except (OSError, ValueError) as error:
        raise IdentityError(
            f"{file}: the host key cannot be recorded: {error}", hint="check the file's permissions"
        ) from None


def fingerprint(key: paramiko.PKey) -> str:
    """As `ssh-keygen -l` prints it: `SHA256:…`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
