"""Standard output and standard error where they cannot be written: a full disk, a reader that went
away, a locale without the signs. Nothing said on standard error is worth losing work for."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


class _Forgiving(io.FileIO):
    """A file that forgets what cannot be written."""

    def write(self, data: object, /) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


def forgiving(stream: TextIO | None) -> TextIO:
    """The same stream, of which what cannot be written is forgotten; of none, one that goes
    nowhere."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    raw = _Forgiving(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def output_works() -> bool:
    """Whether standard output takes more. A line is written to find out: Python drops what it could
    not write, and then has nothing to complain of."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        return False
    return True


def drop_output() -> None:
    """Send the rest of the output nowhere: Python writes what is left when it ends, and would
    complain again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
