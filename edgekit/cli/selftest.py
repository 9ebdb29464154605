"""`edgekit selftest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json
from edgekit.cli.unstored import print_json
from edgekit.errors import GateFailed, UsageError


def selftest(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="The bundle directory that `edgekit build` printed.",
            show_default=False,
        ),
    ],
    aa: Annotated[bool, typer.Option("--aa", help="Measure an artifact against itself.")] = False,
    target: Annotated[
        str,
        typer.Option("--target", "-t", help="Where to measure: a name from targets/ or a file."),
    ] = "local",
    artifact: Annotated[
        str | None, typer.Option(help="Which, such as int8.tflite. Default: the bundle's first.")
    ] = None,
    runs: Annotated[int, typer.Option(help="Fresh runner processes a side.", min=10)] = 20,
    resamples: Annotated[
        int,
        typer.Option(
            help="How often the rules are tried on what was measured.", min=100, max=100_000
        ),
    ] = 1000,
    as_json: Json = False,
) -> None:
    """Say how often the rules of `compare` and `gate` would err on a target: false alarms on one
    and the same artifact, and slow-downs that are missed.

    Exits with 1 when there are more than 5 % false positives.

    Example: edgekit selftest build/quickstart-0123456789ab --aa --target pi5
    """
    from edgekit.reporting import verdicts

    if not aa:
        raise UsageError("which self-test?", hint="--aa measures an artifact against itself")
    problem = None
    with live_progress(quiet=as_json) as progress:
        try:
            tested = edgekit.selftest(
                bundle,
                target,
                artifact=artifact,
                runs=runs,
                resamples=resamples,
                progress=progress,
            )
        except edgekit.NotStored as unstored:
            tested, problem = unstored.result, unstored
    if as_json:
        print_json(tested.as_dict(), problem)
    else:
        console = stdout()
        for part in verdicts.selftest(tested):
            console.print(part)
    if problem:
        raise problem
    if not tested.ok and as_json:
        raise typer.Exit(GateFailed.exit_code)
    if not tested.ok:
        raise GateFailed(
            "more than 5 % false positives",
            hint="see the warnings; a quieter device, a fixed governor or longer runs help",
        )
