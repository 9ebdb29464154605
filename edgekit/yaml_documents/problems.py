"""What is wrong in a file a person wrote, and where. Owns origins, problems, and how a list of them
becomes one error. Reads nothing and checks nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from edgekit.errors import UsageError

MAX_LINES = 50

KeyPath = tuple[str | int, ...]
"""Where a value sits in the data, e.g. `("stages", 2, "train", "epochs")`."""


@dataclass(frozen=True)
class Origin:
    """Where a value was written: a place in a file (1-based), or only a source such as `default` or
    `--set a.b=c`."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where it is, and what to do."""

    origin: Origin
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"

    def as_json(self) -> dict[str, object]:
        where: dict[str, object] = {
            "file": self.origin.source,
            "line": self.origin.line,
            "column": self.origin.column,
        }
        return where | {"message": self.message, "hint": self.hint}


def refuse(problems: Iterable[Problem]) -> NoReturn:
    """Raise all problems as one UsageError: a line each in the message, and `details["problems"]`
    for programs.

    The hint of a single problem is the error's; among several, each is on the line of its problem.
    """
    listed = sorted(dict.fromkeys(problems), key=_reading_order)
    details: dict[str, object] = {"problems": [p.as_json() for p in listed]}
    if len(listed) == 1:
        raise UsageError(str(listed[0]), hint=listed[0].hint, details=details)
    lines = [f"{p} ({p.hint})" if p.hint else str(p) for p in listed[:MAX_LINES]]
    rest = [f"… and {len(listed) - MAX_LINES} more"] if len(listed) > MAX_LINES else []
    raise UsageError("\n".join([*lines, *rest]), details=details)


def _reading_order(problem: Problem) -> tuple[bool, str, int, int]:
    origin = problem.origin
    return origin.line is None, origin.source, origin.line or 0, origin.column or 0


def quoted(text: str) -> str:
    """Text from outside for a message: quoted, escaped, and not endless."""
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def describe(value: Any) -> str:
    """A value as an error message calls it: `the text 'yes'`, `a list`, `true`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else str(value)
