"""Which sample it is whose target does not suit a task. What targets must be is the task's
business. Imports no torch: the machine that measures has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from edgekit.errors import ModelError

CheckTargets = Callable[[NDArray[Any]], None]
"""Raises ModelError for targets, of shape (samples, …), that do not suit the task."""


def check_numbered(
    check: CheckTargets, targets: NDArray[Any], numbers: Sequence[int], where: str
) -> None:
    """Check targets of the samples with these numbers. Raises ModelError with the number of the
    first one that does not pass."""
    try:
        check(targets)
    except ModelError:
        for number, target in zip(numbers, targets, strict=True):
            try:
                check(target[None])
            except ModelError as error:
                raise ModelError(
                    f"{where}sample {number}: {error.message}", hint=error.hint
                ) from None
        raise
