"""What nobody foresaw: a file with all that a report needs, and one line for the user."""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from edgekit.cache import cache_root
from edgekit.errors import Defect, EdgekitError
from edgekit.sanitize import printable, without_secrets
from edgekit.version import __version__


def defect_of(error: Exception, arguments: Sequence[str]) -> Defect:
    """The error that stands for an exception which edgekit should have translated. Its trace is
    written to a file that only the user can read."""
    report = without_secrets(_report(error, arguments))
    what = printable(f"{type(error).__name__}: {without_secrets(str(error))}")
    try:
        file = _written(report)
    except (OSError, EdgekitError):
        return Defect(
            f"a defect of edgekit: {what}",
            hint="run it again with --debug, and attach what it prints to a report",
        )
    return Defect(
        f"a defect of edgekit: {what}",
        hint=f"attach {file} to a report: it holds the command, versions and the trace",
        details={"trace": str(file)},
    )


def _report(error: Exception, arguments: Sequence[str]) -> str:
    trace = "".join(traceback.format_exception(error))
    return (
        f"edgekit {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"edgekit {shlex.join(arguments)}\n\n{trace}"
    )


def _written(report: str) -> Path:
    """In the cache, else among temporary files. mkstemp gives the mode 0600."""
    when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-")
    try:
        folder = cache_root() / "defects"
        folder.mkdir(parents=True, exist_ok=True)
        number, path = tempfile.mkstemp(".txt", when, folder)
    except (OSError, EdgekitError):
        number, path = tempfile.mkstemp(".txt", f"edgekit-defect-{when}")
    with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(report)
    return Path(path)
