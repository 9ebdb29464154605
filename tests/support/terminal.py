"""What a terminal shows of tables and texts."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType


def printed(*parts: RenderableType, width: int = 100) -> str:
    """Without colours."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    for part in parts:
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
