"""`edgekit build` and `edgekit run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json, Output, Overrides, RecipeFile
from edgekit.cli.unstored import print_json
from edgekit.errors import EdgekitError, GateFailed

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement
    from edgekit.pipeline.build import BuildResult
    from edgekit.verdict.budget import JudgedLimit

NOT_PRINTED: Any = {
    "recipe": True,
    "artifacts": {"__all__": {"verification": {"metrics": {"__all__": {"per_sample"}}}}},
}
"""What `--json` leaves out of a manifest: long, and for machines that read the file itself."""

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show what would be done and what it comes to; change nothing."),
]


def build(
    recipe: RecipeFile,
    overrides: Overrides = None,
    output: Output = Path("build"),
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train, compress and export a recipe's variants into a bundle.

    Finished stages are re-used; an interrupted build goes on after its last finished one.

    Example: edgekit build recipes/quickstart.yaml --set seed=1
    """
    if dry_run:
        _show_plan(recipe, overrides, (), as_json=as_json)
        return
    with live_progress(quiet=as_json) as progress:
        result = edgekit.build(recipe, overrides=overrides or (), output=output, progress=progress)
    verdicts = edgekit.judge(result.bundle)
    show(result, {}, verdicts, None, as_json=as_json)


def run(
    recipe: RecipeFile,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="Where to measure: a name from targets/ or a file. May be repeated.",
        ),
    ] = None,
    overrides: Overrides = None,
    output: Output = Path("build"),
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Build a recipe, deploy its bundle to each target, measure it there, store the result, and
    judge the budget.

    Several targets are measured at the same time; one that fails does not stop the others.

    Example: edgekit run recipes/quickstart.yaml --target pi5 --target pi4
    """
    if dry_run:
        _show_plan(recipe, overrides, target or ["local"], as_json=as_json)
        return
    from edgekit.workflow.run import RunFailed  # here, so that --help does not wait for the schema

    problem = None
    try:
        with live_progress(quiet=as_json) as progress:
            result = edgekit.run(
                recipe,
                targets=target or ["local"],
                overrides=overrides or (),
                output=output,
                progress=progress,
            )
    except edgekit.NotStored as unstored:
        result, problem = unstored.result, unstored
    except RunFailed as failed:
        if not as_json:
            print_tables(failed.result.build, failed.result.measurements, failed.result.verdicts)
        raise
    show(result.build, result.measurements, result.verdicts, problem, as_json=as_json)


def _show_plan(
    recipe: Path, overrides: list[str] | None, targets: Sequence[str], *, as_json: bool
) -> None:
    from edgekit.cli.plans import show_plan

    loaded, loaded_targets = (
        edgekit.load_recipe(recipe, overrides=overrides or ()),
        [edgekit.load_target(name) for name in targets],
    )
    show_plan(loaded, estimated=True, as_json=as_json, targets=loaded_targets)


def show(
    result: BuildResult,
    measurements: dict[str, Measurement],
    verdicts: tuple[JudgedLimit, ...],
    problem: EdgekitError | None,
    *,
    as_json: bool,
) -> None:
    """Print a finished build or run; a budget that is not met is exit code 1. Raises `problem`,
    which came after it."""
    if as_json:
        print_json(as_dict(result, measurements, verdicts), problem)
    else:
        print_tables(result, measurements, verdicts)
    if problem:
        raise problem
    failed = [verdict for verdict in verdicts if not verdict.ok]
    if failed and as_json:
        raise typer.Exit(GateFailed.exit_code)
    if failed:
        raise GateFailed(
            f"{len(failed)} of {len(verdicts)} limits of the budget are not met: "
            + ", ".join(f"{verdict.artifact} {verdict.limit}" for verdict in failed)
        )


def print_tables(
    result: BuildResult, measurements: dict[str, Measurement], verdicts: tuple[JudgedLimit, ...]
) -> None:
    from edgekit.reporting import terminal  # here, so that --help does not wait for numpy

    console = stdout()
    for part in terminal.summary(
        result.bundle.manifest, result.trace, result.export_seconds, measurements, verdicts
    ):
        console.print(part)
    console.print(f"bundle: {result.bundle.path}", highlight=False, soft_wrap=True)


def as_dict(
    result: BuildResult, measurements: dict[str, Measurement], verdicts: tuple[JudgedLimit, ...]
) -> dict[str, Any]:
    return {
        "bundle": str(result.bundle.path),
        "manifest": result.bundle.manifest.model_dump(mode="json", exclude=NOT_PRINTED),
        "trace": [row.model_dump(mode="json") for row in result.trace],
        "export_seconds": result.export_seconds,
        "measurements": {name: measurement.as_dict() for name, measurement in measurements.items()},
        "budget": {
            "met": all(verdict.ok for verdict in verdicts),
            "checks": [
                vars(verdict) | {"metric": verdict.metric.name if verdict.metric else None}
                for verdict in verdicts
            ],
        },
    }
