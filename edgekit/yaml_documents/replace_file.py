"""Replacing a file that a person wrote: the old or the new one is there at every instant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgekit.errors import UsageError
from edgekit.whole_file import whole_file


def replace_file(
    file: Path, text: str, *, check: Callable[[Path], None] = lambda staged: None
) -> None:
    """Write `text` as the whole file. `check` looks at the written text before it counts, and may
    raise.

    Raises UsageError when the file cannot be written; it is then as before."""
    try:
        with whole_file(file) as staged:
            # Bytes: line ends stay as they are.
            staged.write_bytes(text.encode())
            check(staged)
    except OSError as error:
        raise UsageError(
            f"cannot write {file}: {error.strerror or error}", hint="check its permissions"
        ) from None
