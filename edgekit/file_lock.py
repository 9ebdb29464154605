"""Locks on files, which the kernel frees when their holder ends, however."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from edgekit.errors import UsageError


def try_lock(file: IO[str]) -> bool:
    """Whether an open file could be locked now. Raises UsageError: there are no locks where it
    lies, as on some network file systems."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UsageError(
            f"{Path(file.name).parent}: locks do not work there: {error.strerror}",
            hint="set EDGEKIT_CACHE to a directory on a local disk",
        ) from None
    return True
