"""`edgekit sensitivity`: which layers an int8 variant loses its precision in."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json, Overrides, RecipeFile

if TYPE_CHECKING:
    from edgekit.pipeline.sensitivity import SensitivityReport


def sensitivity(
    recipe: RecipeFile,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage", "-s", help="The int8 stage, when there are several.", show_default=False
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, max=1024, help="Samples of the test set.")
    ] = 64,
    reach: Annotated[
        float | None,
        typer.Option(
            "--reach",
            metavar="DB",
            help="Look for the layers to keep in float to reach this SNR.",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Show which layers an int8 variant loses its precision in, and which to keep in float for a
    wanted precision.

    Each layer is quantized alone, and left out alone, and the error is taken at the network's
    output. Stages that are not in the cache are run first.

    Example: edgekit sensitivity recipes/quickstart.yaml --stage int8 --reach 45
    """
    with live_progress(quiet=as_json) as progress:
        report = edgekit.sensitivity(
            recipe,
            stage=stage,
            samples=samples,
            reach_db=reach,
            overrides=overrides or (),
            progress=progress,
        )
    if as_json:
        print(json.dumps(_finite(dataclasses.asdict(report))))
        return
    console = stdout(highlight=False)
    console.print(_table(report))
    console.print(
        f"[bold]{escape(report.stage)}[/]: {_decibels(report.snr_db)} against float on"
        f" {report.samples} samples"
    )
    if reach is not None:
        _tell_kept(report, reach)


def _tell_kept(report: SensitivityReport, reach: float) -> None:
    from edgekit.reporting.numbers import size

    console = stdout(highlight=False, soft_wrap=True)
    if not report.keep_float:
        console.print(f"it reaches {reach:g} dB as it is")
        return
    cost = f"{_decibels(report.reached_db)}, {size(report.more_bytes)} more"
    layers = json.dumps(list(report.keep_float), ensure_ascii=False)
    if report.reached_db < reach:
        console.print(f"{reach:g} dB cannot be reached: with all layers in float it is {cost}")
    else:
        console.print(f"in the recipe's stage: keep_float: {escape(layers)}  [dim]({cost})[/]")


def _table(report: SensitivityReport) -> Table:
    from edgekit.reporting.numbers import amount
    from edgekit.reporting.tables import new_table, number_columns

    table = new_table("", "layer")
    number_columns(table, "weights", "only it int8", "all but it int8")
    for layer in report.layers:
        table.add_row(
            escape(layer.name),
            amount(layer.weights) if layer.weights else "",
            *map(_decibels, (layer.alone_db, layer.without_db)),
        )
    return table


def _decibels(value: float) -> str:
    return f"{value:.1f} dB" if math.isfinite(value) else "equal"


def _finite(value: Any) -> Any:
    """JSON has no infinity: null says that nothing is lost."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
