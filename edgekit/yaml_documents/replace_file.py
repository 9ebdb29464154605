"""Replacing a file that a person wrote: the old or the new one is there at every instant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgekit.errors import UsageError


def replace_file(
    file: Path, text: str, *, check: Callable[[Path], None] = lambda staged: None
) -> None:
    """Write `text` beside the file and rename it there; permissions stay. `check` looks at the
    written text before it counts, and may raise.

    Raises UsageError when the file cannot be written; it is then as before."""
    staged = file.with_name(f".{file.name}.new")
    try:
        # Bytes: line ends stay as they are.
        staged.write_bytes(text.encode())
        if file.exists():
            staged.chmod(file.stat().st_mode & 0o777)
        check(staged)
        staged.replace(file)
    except OSError as error:
        raise UsageError(
            f"cannot write {file}: {error.strerror or error}", hint="check its permissions"
        ) from None
    finally:
        staged.unlink(missing_ok=True)
