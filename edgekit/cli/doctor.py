"""`edgekit doctor`: is this machine ready, and what would make it so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.options import Json

if TYPE_CHECKING:
    from edgekit.boards.check import CheckReport


def doctor(as_json: Json = False) -> None:
    """Check whether this machine has what edgekit needs: what is missing, and the command that
    installs it. Boards: `edgekit target check`.

    The exit code is that of the first problem; notes and warnings do not count.

    Example: edgekit doctor
    """
    tell_checked(edgekit.doctor(), as_json=as_json)


def tell_checked(report: CheckReport, *, as_json: bool) -> None:
    """Print what was found, of this machine or of a board; a problem is the exit code."""
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        from edgekit.reporting.boards import check_report  # here, so that --help waits for nothing

        console = stdout(highlight=False, soft_wrap=False)
        for part in check_report(report):
            console.print(part)
    if report.exit_code:
        raise typer.Exit(report.exit_code)
