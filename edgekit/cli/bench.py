"""`edgekit bench`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json
from edgekit.errors import UsageError
from edgekit.recipe.stored import stored_sections
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Bundle
    from edgekit.cancel import Cancel
    from edgekit.devices.target import Target
    from edgekit.measure.measurement import Measurement
    from edgekit.progress import Progress

QUICK_RUNS = 3
MOST_SAMPLES = 1 << 24
"""As many as a bundle can hold."""


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
    as_json: Json = False,
) -> None:
    """Deploy a bundle to a target, measure every artifact of it there, and store the result.

    Settings not given here come from the recipe in the bundle. A model that edgekit did not build
    is measured with random inputs; whether its outputs are right is then not known. Several targets
    are measured at the same time.

    Example: edgekit bench build/quickstart-0123456789ab --target pi5 --runs 3
    """
    from edgekit import store  # here, so that --help does not wait for the database and the schema
    from edgekit.workflow.fleet import TargetsFailed, on_each

    if quick and runs is not None:
        raise UsageError("--quick and --runs exclude one another", hint="--quick is --runs 3")
    runs = QUICK_RUNS if quick else runs
    seconds = None if sustained is None else parse_seconds(sustained)
    samples = None if accuracy is None else parse_samples(accuracy)
    more: dict[str, Any] = {
        "profile": profile,
        "sustained_seconds": seconds,
        "accuracy_samples": samples,
        "energy": energy,
    }
    given = {
        key: value for key, value in {"runs": runs, "threads": threads}.items() if value is not None
    }
    with opened_bundle(bundle) as opened:
        settings = {**stored_sections(opened.manifest.recipe).bench.model_dump(), **given}
        loaded = [edgekit.load_target(target) for target in targets or ["local"]]

        def measure(target: Target, progress: Progress, cancel: Cancel) -> Measurement:
            measurement = edgekit.bench(
                opened,
                target,
                **settings,
                **more,
                progress=progress,
                on_partial=store.save,
                cancel=cancel,
            )
            store.save(measurement)
            return measurement

        with live_progress(quiet=as_json) as progress:
            found = on_each(loaded, measure, progress=progress)
    told = {name: measurement.as_dict() for name, measurement in found.done.items()}
    if as_json and not found.failures:
        print(json.dumps(told[loaded[0].name] if len(loaded) == 1 else {"targets": told}))
    elif not as_json:
        _print_tables(opened, found.done)
    if found.failures:
        raise TargetsFailed(found.failures, found.done, told=told)


def _print_tables(bundle: Bundle, measurements: dict[str, Measurement]) -> None:
    from edgekit.reporting import terminal
    from edgekit.reporting.extra_results import observations

    console = stdout()
    for part in terminal.summary(bundle.manifest, (), measurements, ()):
        console.print(part)
    for measurement in measurements.values():
        for part in observations(measurement):
            console.print(part)


@contextmanager
def opened_bundle(path: Path) -> Iterator[Bundle]:
    """A bundle directory, or a model file as a bundle while the block runs."""
    from edgekit.bundle.foreign_model import is_model

    if is_model(path):
        with edgekit.open_model(path) as bundle:
            yield bundle
    else:
        yield edgekit.open_bundle(path)


def parse_samples(text: str) -> int:
    """A number of samples, or `all`. Raises UsageError."""
    if text != "all" and not re.fullmatch(r"[1-9][0-9]{0,7}", text):
        raise UsageError(
            f"--accuracy: expected a number of samples or `all`, got {printable(text)!r}"
        )
    return MOST_SAMPLES if text == "all" else int(text)


def parse_seconds(text: str) -> float:
    """`90s`, `10m` or `1h` in seconds, from 1 second to 1 hour. Raises UsageError."""
    found = re.fullmatch(r"([0-9]{1,4})(s|m|h)", text)
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not 1 <= seconds <= 3600:
        raise UsageError(
            f"--sustained: expected a time from 1s to 1h, got {printable(text)!r}",
            hint="for example 10m",
        )
    return seconds
