"""Where results are printed: stdout, as wide as the terminal, or wide enough for every table when
it is a file or a pipe."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console

PIPE_COLUMNS = 140


def stdout(**options: Any) -> Console:
    """A console on stdout with rich's `options`. COLUMNS, when it is set, is the width."""
    console = Console(**options)
    return (
        console
        if console.is_terminal or os.environ.get("COLUMNS")
        else Console(width=PIPE_COLUMNS, **options)
    )
