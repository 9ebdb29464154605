"""`edgekit sweep`: one recipe with several values for some of its keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json, MeasuredTarget, Output, Overrides, RecipeFile
from edgekit.cli.unstored import print_json
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.workflow.sweep import SweepCandidate, SweepResult


def sweep(
    recipe: RecipeFile,
    over: Annotated[
        list[str],
        typer.Option(
            "--over",
            metavar="KEY=A,B,C",
            help="Values for a key. May be repeated: all combinations.",
        ),
    ],
    target: MeasuredTarget = None,
    overrides: Overrides = None,
    output: Output = Path("build"),
    as_json: Json = False,
) -> None:
    """Build a recipe with every combination of some values, measure all of it in turn on a board,
    and say which artifacts no other one beats.

    Combinations share their common stages. The exit code is that of the first combination that
    could not be built.

    Example: edgekit sweep recipes/quickstart.yaml --over stages.pruned.macs=0.3,0.5,0.7 --target
    local"""
    values = dict(_values(text) for text in over)
    problem = None
    with live_progress(quiet=as_json) as progress:
        try:
            swept = edgekit.sweep(
                recipe,
                values,
                target=target,
                overrides=overrides or (),
                output=output,
                progress=progress,
            )
        except edgekit.NotStored as unstored:
            swept, problem = unstored.result, unstored
    if as_json:
        print_json(swept.as_dict(), problem)
    else:
        _print(swept, list(values))
    if problem:
        raise problem
    if swept.failures:
        raise typer.Exit(swept.failures[0][1].exit_code)


def _values(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    choices = _split(values)
    if not equals or not all(choices):
        raise UsageError(
            f"--over {text}: expected KEY=A,B,C",
            hint="for instance --over stages.pruned.macs=0.3,0.5",
        )
    return key, choices


def _split(values: str) -> list[str]:
    """At commas that are not within brackets: a value may be a YAML list."""
    parts = [""]
    depth = 0
    for character in values:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _print(swept: SweepResult, keys: Sequence[str]) -> None:
    from edgekit.reporting.measurement_tables import notes

    console = stdout(highlight=False)
    console.print(_table(swept.candidates, keys))
    for settings, error in swept.failures:
        named = ", ".join(f"{key}={value}" for key, value in settings.items())
        console.print(f"[red]not built[/] {escape(named)}: {escape(error.message)}", soft_wrap=True)
    metric = _headline_label(swept.candidates)
    measured = (
        f"{metric}, latency and size"
        if swept.measurements
        else f"{metric} and size (nothing was measured: no --target)"
    )
    console.print(f"★ none is as good in {measured}, and better in one of them")
    for measurement in swept.measurements[:1]:  # they are of one session
        for note in notes(measurement):
            console.print(note, soft_wrap=True)


def _table(candidates: Sequence[SweepCandidate], keys: Sequence[str]) -> Table:
    from edgekit.reporting.numbers import estimate_ms, metric, metric_heading, size
    from edgekit.reporting.tables import new_table, number_columns

    table = new_table("", *map(escape, ("", *keys, "artifact")))
    headline = next((candidate.headline for candidate in candidates if candidate.headline), None)
    number_columns(table, "size", metric_heading(headline), "p50 ms (95 %)")
    for candidate in candidates:
        settings = [escape(candidate.settings.get(key, "any")) for key in keys]
        table.add_row(
            "★" if candidate.best else "",
            *settings,
            escape(candidate.artifact.key),
            size(candidate.artifact.file.bytes),
            metric(candidate.headline),
            estimate_ms(candidate.p50_ns),
        )
    return table


def _headline_label(candidates: Sequence[SweepCandidate]) -> str:
    return next(
        (candidate.headline.label for candidate in candidates if candidate.headline), "metric"
    )
