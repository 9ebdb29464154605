"""A device's store, filled on this machine and placed on a card: the board finds its runtimes and
its bundle there at the first start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgekit.flash.disk import Disk
from edgekit.flash.filesystem import Entry, root_partition

FIRST_USER = 1000
"""The user id that the first user of a Debian or Raspberry Pi OS gets."""


def install_store(disk: Disk, store: Path, workdir: str, *, owner: int = FIRST_USER) -> int:
    """Copy a store that `deploy` and `provision` filled (a local target's workdir) into the root
    file system, and return the bytes of its files.

    `workdir` is an absolute path on the board, owned by `owner` and closed to others; it becomes
    the target's `workdir`. Locks and what was being sent are left out. Raises DeviceError: no room,
    no ext4 root file system."""
    entries = [Entry(workdir, mode=0o700, owner=owner), *_entries(store, workdir, owner)]
    root_partition(disk).write(entries)
    return sum(entry.content.stat().st_size for entry in entries if isinstance(entry.content, Path))


def _entries(store: Path, workdir: str, owner: int) -> Iterator[Entry]:
    for directory, names, files in os.walk(store):
        place = Path(directory)
        if place == store / "staging":
            names.clear()
            continue  # the directory itself stays: deployment expects it where there are objects
        names.sort()
        for name in sorted([*names, *(file for file in files if not file.startswith("lock"))]):
            path = place / name
            target = f"{workdir}/{path.relative_to(store)}"
            mode = path.lstat().st_mode & 0o777
            if path.is_symlink():
                yield Entry(target, target=os.readlink(path), owner=owner)
            elif path.is_dir():
                yield Entry(target, mode=mode, owner=owner)
            else:
                yield Entry(target, content=path, mode=mode, owner=owner)
