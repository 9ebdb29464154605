"""Files that appear whole or not at all: written beside their place, seen on the disk, renamed
there. What goes wrong is an OSError, which the caller explains; nothing is left of it then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME_CHARACTERS = 40
"""So many of a name go into that of the file beside it: together they must not be too long."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """An empty file to write to; when the block ends it becomes `path`, with the permissions of the
    file that was there, and before that nobody else may read it. The target of a link is replaced,
    and the link stays. What is no plain file, such as /dev/stdout, is written to as it is."""
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        yield place
        return
    staged = place.with_name(f".{place.name[:NAME_CHARACTERS]}.{os.getpid()}")
    try:
        staged.touch(0o600 if place.exists() else 0o666)
        yield staged
        with staged.open("rb") as stream:
            os.fsync(stream.fileno())
        if place.exists():
            shutil.copymode(place, staged)
        staged.replace(place)
    finally:
        with suppress(OSError):
            staged.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write text as UTF-8, with its line ends as they are."""
    with whole_file(path) as staged:
        staged.write_bytes(text.encode())
