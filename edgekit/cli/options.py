"""Options that several commands share, and how targets are named on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, no progress.")]
TargetName = Annotated[str, typer.Argument(metavar="NAME", help="A name that `edgekit target list` shows, or a file.", show_default=False)]
OneTarget = Annotated[str, typer.Option("--target", "-t", help="A name that `edgekit target list` shows, or a file.", show_default=False)]
Targets = Annotated[
    list[str], typer.Option("--target", "-t", help="A name that `edgekit target list` shows, or a file. May be repeated.", show_default=False)
]
