"""Results are shown whatever happens after the measurement: a database that is gone, a file that
cannot be written."""

from __future__ import annotations

import json
from collections.abc import Mapping

from edgekit.errors import EdgekitError


def print_json(answer: Mapping[str, object], problem: EdgekitError | None) -> None:
    """One object on stdout: the answer, or the problem with the answer as its `result`. Raises the
    problem."""
    if problem is None:
        print(json.dumps(answer))
        return
    problem.details["result"] = answer
    raise problem
