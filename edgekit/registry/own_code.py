"""Code that a recipe names itself, while it runs: whatever it raises becomes an error that says
what failed, and at which line of the user's. Owns that translation; finding and importing the code
is factory.py's work."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from edgekit.errors import EdgekitError, ModelError

HINT = "put it right there, or raise an edgekit.errors.ModelError that says what to do"


@contextmanager
def own_code(
    what: str, name: str, *, error: type[EdgekitError] = ModelError, hint: str = HINT
) -> Iterator[None]:
    """Within it, code of a user's own module runs. `what` (`task wear:WEAR: its loss`) goes into
    the message; `name` is `package.module`, with or without `:object`.

    Raises `error` for whatever the code raises, except an EdgekitError, which says by itself what
    is wrong."""
    try:
        yield
    except EdgekitError:
        raise
    except Exception as cause:  # a user's own code may raise anything
        raise error(f"{what} failed: {in_one_line(cause, name)}", hint=hint) from cause


def in_one_line(error: BaseException, name: str) -> str:
    """What was raised, and the last line of a module's package that led to it: `KeyError: 'wear'
    (/home/me/wear.py:12)`. Without a line where none is of that package, and for edgekit's own."""
    message = (str(error) or "no message").splitlines()[0]
    place = _last_line(error, name.partition(":")[0].partition(".")[0])
    return f"{type(error).__name__}: {message}{place}"


def _last_line(error: BaseException, package: str) -> str:
    places = [
        f" ({frame.f_code.co_filename}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return places[-1] if places and package != __name__.partition(".")[0] else ""
