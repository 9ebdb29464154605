"""`edgekit report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import edgekit
from edgekit.cli.options import Json


def report(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="BUNDLE",
            help="The bundle directory. Without it the page has what the measurements hold.",
            show_default=False,
        ),
    ] = None,
    measurement: Annotated[
        list[str] | None,
        typer.Option(
            "--measurement",
            "-m",
            metavar="ID",
            help=(
                "The start of an id, or `latest`; may be repeated. Default: the bundle's newest of"
                " each target."
            ),
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "report.html"
    ),
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="URL",
            help=(
                "A database URL or an SQLite file. Default: EDGEKIT_DB, else the user's data"
                " directory."
            ),
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Write one HTML page about a bundle and what was measured of it. It needs no network and
    nothing beside it.

    Example: edgekit report build/quickstart-0123456789ab -o report.html
    """
    path = edgekit.report(bundle, measurements=measurement or (), output=output, db=db)
    print(json.dumps({"report": str(path), "bytes": path.stat().st_size}) if as_json else path)
    if open_:
        typer.launch(str(path.resolve()))
