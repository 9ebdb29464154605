"""How long work says where it is. A plain callable, so that the library prints nothing and the
command line draws what it likes."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """`task` is done when `done` reaches `total`; `total` 0 means that the amount is not known.
    `text` is a short remark such as a loss."""

    def __call__(self, task: str, done: float, total: float, text: str = "") -> None: ...


def silent(task: str, done: float, total: float, text: str = "") -> None:
    """Progress for callers that do not want any."""
