"""Which disk may be overwritten. Owns the refusals: what this machine runs from, what is mounted,
what is too large to be a card."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import DeviceError, UsageError

GB = 10**9
LARGEST_CARD_BYTES = 256 * GB
SYSTEM_MOUNTS = {"/", "/boot", "/boot/efi", "/boot/firmware", "/home", "/usr", "/var", "[SWAP]"}
COLUMNS = "PATH,TYPE,SIZE,RO,MODEL,MOUNTPOINTS"


@dataclass(frozen=True)
class Disk:
    """A disk that may be written to, or a file that stands for one. `bytes` is its size, None for a
    file that grows with what is written."""

    path: Path
    bytes: int | None
    is_file: bool
    model: str = ""


def open_disk(path: Path, *, max_bytes: int = LARGEST_CARD_BYTES) -> Disk:
    """Look at a disk, or at a file that stands for one (made when it is missing), without changing
    it.

    Raises DeviceError: mounted, in use by this machine, write-protected, no card in the reader,
    larger than `max_bytes`. Raises UsageError: not a disk."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir() or path.parent == Path("/dev"):
            raise UsageError(
                f"{path}: there is no such disk",
                hint="`lsblk` lists them; or give a file in a directory that exists",
            ) from None
        return Disk(path, None, True)
    except OSError as error:
        raise DeviceError(f"{path}: {error.strerror}") from None
    if stat.S_ISREG(kind):
        if not os.access(path, os.W_OK):
            raise DeviceError(
                f"{path}: no permission to write", hint="chmod u+w it, or choose another file"
            )
        return Disk(path, path.stat().st_size or None, True)
    if not stat.S_ISBLK(kind):
        raise UsageError(f"{path}: neither a disk nor a file", hint="`lsblk` lists the disks")
    return judge(path, _lsblk(path), max_bytes)


def judge(path: Path, listing: Mapping[str, Any], max_bytes: int) -> Disk:
    """The disk that `lsblk --json --bytes` lists, if it may be overwritten. Raises what `open_disk`
    raises."""
    tops = listing.get("blockdevices") or []
    if len(tops) != 1:
        raise DeviceError(f"{path}: lsblk lists {len(tops)} disks for it, expected one")
    top = tops[0]
    if top["type"] not in ("disk", "loop"):
        raise UsageError(
            f"{path} is a {top['type']}, not a whole disk",
            hint="an image holds a partition table: give the disk, such as /dev/sdX",
        )
    mounts = sorted(
        {mount for node in _tree(top) for mount in node.get("mountpoints") or () if mount}
    )
    if SYSTEM_MOUNTS & set(mounts):
        raise DeviceError(
            f"{path}: this machine runs from it ({', '.join(mounts)})",
            hint="`lsblk` lists the disks; a card reader is usually the last",
        )
    if mounts:
        raise DeviceError(
            f"{path} is mounted at {', '.join(mounts)}",
            hint=f"umount {' '.join(mounts)}, then run again",
        )
    size = int(top["size"])
    if size == 0:
        raise DeviceError(f"{path}: there is no card in it")
    if top["ro"]:
        raise DeviceError(
            f"{path} is write-protected", hint="move the lock slider of the card, or of its adapter"
        )
    if size > max_bytes:
        hint = "if it really is the card, raise the limit (--max-gb)"
        raise DeviceError(
            f"{path} holds {size / GB:.0f} GB, more than a card of at most {max_bytes / GB:.0f} GB",
            hint=hint,
        )
    return Disk(path, size, False, (top.get("model") or "").strip())


def tool(name: str, package: str) -> str:
    """The path of a program that flashing needs. Raises UsageError, with the package that has
    it."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if not path:
        raise UsageError(f"flashing needs the program {name}", hint=f"apt install {package}")
    return path


def call(
    argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 600
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of this machine, its messages in English."""
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "DEBUGFS_PAGER": "__none__",
        "MTOOLS_SKIP_CHECK": "1",
    }
    try:
        return subprocess.run(
            argv, input=stdin, capture_output=True, timeout=timeout_s, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"{Path(argv[0]).name} did not end within {timeout_s:g} s",
            hint="is the card or its reader failing?",
        ) from None


def _lsblk(path: Path) -> dict[str, Any]:
    done = call(
        [tool("lsblk", "util-linux"), "--json", "--bytes", "--output", COLUMNS, "--", str(path)]
    )
    if done.returncode:
        raise DeviceError(
            f"{path}: lsblk cannot read it: {done.stderr.decode(errors='replace').strip()}"
        )
    listing: dict[str, Any] = json.loads(done.stdout)
    return listing


def _tree(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("children") or ():
        yield from _tree(child)
