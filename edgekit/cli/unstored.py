"""Results are shown whatever happens after the measurement: a database that is gone, a file that
cannot be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from edgekit.errors import EdgekitError

Result = TypeVar("Result")


def measured(measure: Callable[[], Result]) -> tuple[Result, EdgekitError | None]:
    """What a call of the Python API measured, and what went wrong when it was to be stored."""
    from edgekit.workflow.storing import NotStored  # here, so that --help does not wait for it

    try:
        return measure(), None
    except NotStored as error:
        result: Result = error.result
        return result, error


def print_json(answer: Mapping[str, object], problem: EdgekitError | None) -> None:
    """One object on stdout: the answer, or the problem with the answer as its `result`. Raises the
    problem."""
    if problem is None:
        print(json.dumps(answer))
        return
    problem.details["result"] = answer
    raise problem
