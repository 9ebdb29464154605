"""What is wrong in a file a person wrote, and where. Owns origins, problems, and how a list of them becomes one error.
Reads nothing and checks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from edgekit.errors import UsageError

KeyPath = tuple[str | int, ...]
"""Where a value sits in the data, e.g. `("stages", 2, "train", "epochs")`."""


@dataclass(frozen=True)
class Origin:
    """Where a value was written: a place in a file (1-based), or only a source such as `default` or `--set a.b=c`."""

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
        where: dict[str, object] = {"file": self.origin.source, "line": self.origin.line, "column": self.origin.column}
        return where | {"message": self.message, "hint": self.hint}


def refuse(problems: Iterable[Problem]) -> NoReturn:
    """Raise all problems as one UsageError: a line each in the message, and `details["problems"]` for programs."""
    listed = sorted(dict.fromkeys(problems), key=_reading_order)
    hints = list(dict.fromkeys(p.hint for p in listed if p.hint))
    raise UsageError("\n".join(map(str, listed)), hint="\n".join(hints), details={"problems": [p.as_json() for p in listed]})


def _reading_order(problem: Problem) -> tuple[bool, str, int, int]:
    origin = problem.origin
    return origin.line is None, origin.source, origin.line or 0, origin.column or 0


def describe(value: Any) -> str:
    """A value as an error message calls it: `the text 'yes'`, `a list`, `true`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40] + '…' if len(value) > 40 else value!r}"
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else str(value)
