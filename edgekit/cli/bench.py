"""`edgekit bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import edgekit
from edgekit.cli.live import live_progress


def bench(
    bundle: Annotated[Path, typer.Argument(help="The bundle directory that `edgekit build` printed.", show_default=False)],
    target: Annotated[str, typer.Option("--target", "-t", help="Where to measure: a name from targets/ or a file.")] = "local",
    runs: Annotated[int | None, typer.Option(help="Fresh runner processes per artifact; below 10 the result is labelled quick.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the runtime.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, no progress.")] = False,
) -> None:
    """Deploy a bundle to a target, measure every artifact of it there, and store the result.

    Settings not given here come from the recipe in the bundle.

    Example: edgekit bench build/quickstart-0123456789ab --target local --runs 3
    """
    from edgekit import store  # here, so that --help does not wait for the database and the schema
    from edgekit.recipe.schema import Bench
    from edgekit.report import terminal

    opened = edgekit.open_bundle(bundle)
    given = {key: value for key, value in {"runs": runs, "threads": threads}.items() if value is not None}
    settings = {**Bench().model_dump(), **opened.manifest.recipe.get("bench", {}), **given}
    with live_progress(quiet=as_json) as progress:
        measurement = edgekit.bench(opened, edgekit.load_target(target), **settings, progress=progress, on_partial=store.save)
    store.save(measurement)
    if as_json:
        print(json.dumps(measurement.as_dict()))
        return
    console = Console()
    for part in terminal.summary(opened.manifest, (), {measurement.target: measurement}, ()):
        console.print(part)
