"""`edgekit bench`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress, telling_long_work
from edgekit.cli.options import Json
from edgekit.cli.unstored import print_json
from edgekit.errors import UsageError
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.bundle.directory import Bundle
    from edgekit.measure.measurement import Measurement

QUICK_RUNS = 3
QUICK_SECONDS = 60.0
SIZES = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


def bench(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="The bundle directory that `edgekit build` printed, or any .tflite or .pte.",
            show_default=False,
        ),
    ],
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help=(
                "Where to measure: a name from targets/ or a file. May be repeated. Default: local."
            ),
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            help="Fresh runner processes per artifact; below 10 the result is labelled quick.",
            min=1,
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the runtime.", min=1)] = None,
    deadline_ms: Annotated[
        float | None,
        typer.Option(
            "--deadline-ms",
            metavar="MS",
            help="How long an inference may take: shows how many take longer.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="3 runs: to look at. Labelled quick, and judges nothing."),
    ] = False,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Also the time by operator, from a process of its own."),
    ] = False,
    sustained: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=(
                "Also one run of so long, such as 90s or 10m, at most 1h: the curve beside the"
                " burst."
            ),
        ),
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="Also accuracy on the device over N samples of the bundle's evaluation set.",
        ),
    ] = None,
    energy: Annotated[
        bool,
        typer.Option(
            "--energy",
            help="Also the energy of an inference, by the power sensor that the target names.",
        ),
    ] = False,
    pipeline: Annotated[
        bool,
        typer.Option(
            "--pipeline",
            help=(
                "Also how long a sample takes before and after the inference: normalising, and the"
                " task's decoding. On the device where it has Python and numpy, else here."
            ),
        ),
    ] = False,
    signature: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=(
                "Which signature of a .tflite, or method of a .pte, is measured; `edgekit bundle"
                " show` lists them."
            ),
        ),
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            metavar="INPUT=N,N,…",
            help=(
                "The shape, with the batch, of an input whose sizes are dynamic. May be repeated."
                " Default: the largest."
            ),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a bundle to a target, measure every artifact of it there, and store the result. What is
    live on the target stays so.

    Settings not given here come from the recipe in the bundle. A model that edgekit did not build
    is measured with random inputs; whether its outputs are right is then not known. Several targets
    are measured at the same time.

    Example: edgekit bench build/quickstart-0123456789ab --target pi5 --runs 3
    """
    from edgekit.workflow.bench import BenchFailed  # here, so that --help does not wait for it
    from edgekit.workflow.inputs import opened_bundle

    if quick and runs is not None:
        raise UsageError("--quick and --runs exclude one another", hint="--quick is --runs 3")
    settings = given_settings(
        runs=QUICK_RUNS if quick else runs, threads=threads, deadline_ms=deadline_ms
    )
    names = targets or ["local"]
    problem = None
    with opened_bundle(bundle, signature=signature, shapes=parse_shapes(shapes or [])) as opened:
        try:
            with live_progress(quiet=as_json) as drawn:
                progress = telling_long_work(drawn, QUICK_SECONDS) if quick else drawn
                measurements = edgekit.bench(
                    opened,
                    names,
                    settings=settings,
                    profile=profile,
                    sustained_seconds=None if sustained is None else parse_seconds(sustained),
                    accuracy_samples=None if accuracy is None else parse_samples(accuracy),
                    energy=energy,
                    pipeline=pipeline,
                    progress=progress,
                )
        except edgekit.NotStored as unstored:
            measurements, problem = unstored.result, unstored
        except BenchFailed as failed:
            if not as_json:
                _print_tables(opened, failed.measurements)
            raise
    if as_json:
        answers = {name: measurement.as_dict() for name, measurement in measurements.items()}
        print_json(
            {"targets": answers} if len(names) > 1 else next(iter(answers.values())), problem
        )
        return
    _print_tables(opened, measurements)
    if problem:
        raise problem


def _print_tables(bundle: Bundle, measurements: dict[str, Measurement]) -> None:
    from edgekit.reporting import terminal
    from edgekit.reporting.extra_results import observations

    console = stdout()
    for part in terminal.summary(bundle.manifest, (), {}, measurements, ()):
        console.print(part)
    for measurement in measurements.values():
        for part in observations(measurement):
            console.print(part)


def given_settings(**options: float | None) -> dict[str, float]:
    """The settings that the command line names; the others come from the recipe."""
    return {name: value for name, value in options.items() if value is not None}


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by the names of inputs, each from `INPUT=N,N,…`. Raises UsageError."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        if (
            not name
            or name in shapes
            or not re.fullmatch(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*", sizes)
        ):
            raise UsageError(
                f"--shape: expected INPUT=N,N,… once for each input, got {printable(text)!r}",
                hint="for instance --shape image=1,3,160,160",
            )
        shapes[name] = tuple(map(int, sizes.split(",")))
    return shapes


def parse_samples(text: str) -> int:
    """A number of samples, or `all`. Raises UsageError."""
    from edgekit.measure.session import ALL_SAMPLES

    if text == "all":
        return ALL_SAMPLES
    if not re.fullmatch(r"[1-9][0-9]{0,7}", text):
        raise UsageError(
            f"--accuracy: expected a number of samples or `all`, got {printable(text)!r}"
        )
    return int(text)


def parse_seconds(text: str) -> float:
    """`90s`, `10m` or `1h` in seconds, from 1 second to 1 hour. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,4})(s|m|h)", text)
    seconds = float(match[1]) * UNIT_SECONDS[match[2]] if match else 0.0
    if not 1 <= seconds <= 3600:
        raise UsageError(
            f"--sustained: expected a time from 1s to 1h, got {printable(text)!r}",
            hint="for example 10m",
        )
    return seconds
