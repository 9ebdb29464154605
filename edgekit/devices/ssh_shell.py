"""What is sent to a login shell so that it starts a program, and what it means when it does not.
Owns no connection.

The login shell may be any that knows `exec` and words in single quotes: sh, bash, zsh, fish, csh.
Where some of them would change what is in the quotes, it is written in octal, and `sh` reads it
(POSIX, printf, %b), which takes the board one process more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from edgekit.errors import DeviceError, EdgekitError, IdentityError
from edgekit.sanitize import printable

MARK = 'read -r a b c d group rest <"/proc/$$/stat"; printf "%s %s\\n" "$1" "$group $rest"; shift; '
START = MARK + 'exec "$@"'
READ_AND_START = MARK + 'eval "set -- $(printf %b "$1")"; exec "$@"'
CHANGED_IN_QUOTES = re.compile(r"[\n\\'!]")
"""csh ends a line at a newline and replaces `!`; fish and csh take a backslash for their own."""
SHOWN_LINES = 3
EXPIRED = re.compile(r"password (has )?expired|password change required|change your password", re.I)


def command(marker: str, argv: Sequence[str]) -> str:
    """What the login shell gets. The program's standard output begins with a line of its own: the
    marker, the process group, and the rest of /proc/PID/stat."""
    script, words = START, list(argv)
    if any(CHANGED_IN_QUOTES.search(word) for word in argv):
        octal = CHANGED_IN_QUOTES.sub(lambda match: f"\\0{ord(match[0]):03o}", shlex.join(argv))
        script, words = READ_AND_START, [octal]
    return "exec " + shlex.join(["sh", "-c", script, "edgekit", marker, *words])


def answer(stdout: bytes, stderr: bytes) -> str:
    """The first lines that a login printed in place of a program, for a message; empty when there
    are none."""
    text = b"\n".join((stdout, stderr)).decode("utf-8", "replace")
    lines = [printable(line.strip()) for line in text.splitlines() if line.strip()]
    return " / ".join(lines[:SHOWN_LINES])


def not_started(name: str, stdout: bytes, stderr: bytes) -> EdgekitError:
    """The error when a login ended without the marker line."""
    shown = answer(stdout, stderr)
    if EXPIRED.search(shown):
        return IdentityError(
            f"{name}: the password has expired: the login answers: {shown}",
            hint="log in once by hand with ssh, and choose a new password",
        )
    return DeviceError(
        f"{name}: the login starts no programs; it answers: {shown or 'nothing'}",
        hint="`ssh` with the same settings must run `sh -c true`: check the user, its login shell,"
        " and what authorized_keys allows",
    )
