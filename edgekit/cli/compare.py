"""`edgekit compare`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import edgekit
from edgekit.cli.bench import given_settings, parse_samples
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json
from edgekit.cli.unstored import print_json
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.bundle.directory import Bundle
    from edgekit.workflow.compare import CompareResult


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A bundle, BUNDLE:ARTIFACT such as build/net-0123:int8.tflite, or a model file.",
            show_default=False,
        ),
    ],
    b: Annotated[
        str | None,
        typer.Argument(
            metavar="B",
            help="What A is compared with. Without: A's .pte files with its .tflite files.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option("--target", "-t", help="Where to measure: a name from targets/ or a file."),
    ] = "local",
    runs: Annotated[
        int | None,
        typer.Option(
            help="Fresh runner processes per artifact and side; below 10 nothing is decided.", min=1
        ),
    ] = None,
    deadline_ms: Annotated[
        float | None,
        typer.Option(
            "--deadline-ms",
            metavar="MS",
            help="How long an inference may take: also compares how many take longer.",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(help="Differences up to so many percent count as none.", min=0.1, max=100),
    ] = 5.0,
    accuracy: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="Also accuracy on the device over N samples of the bundles' evaluation set.",
        ),
    ] = None,
    stored: Annotated[
        bool,
        typer.Option(
            "--stored",
            help="A and B are ids of stored measurements (or ID:ARTIFACT): nothing is measured.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which of two is faster, smaller, lighter and more accurate, or that there is no
    difference, or how many more runs would tell.

    Both are measured in turn, in one session on one device, and both measurements are stored.
    Stored measurements of different sessions can be set side by side, too; that is labelled, and
    proves nothing.

    Example: edgekit compare build/net-0123456789ab build/net-ba9876543210 --target pi5
    """
    from edgekit.reporting import verdicts

    problem = None
    if stored:
        compared = _stored(a, b, margin)
    else:
        samples = None if accuracy is None else parse_samples(accuracy)
        with _sides(a, b) as (first, second, pairs), live_progress(quiet=as_json) as progress:
            try:
                compared = edgekit.compare(
                    first,
                    second,
                    target,
                    pairs=pairs,
                    settings=given_settings(runs=runs, deadline_ms=deadline_ms),
                    margin_percent=margin,
                    accuracy_samples=samples,
                    progress=progress,
                )
            except edgekit.NotStored as unstored:
                compared, problem = unstored.result, unstored
    if as_json:
        print_json(compared.as_dict(), problem)
        return
    console = stdout()
    for part in verdicts.comparison(compared):
        console.print(part)
    if problem:
        raise problem


@contextmanager
def _sides(
    a: str, b: str | None
) -> Iterator[tuple[Bundle, Bundle | None, list[tuple[str, str]] | None]]:
    """The bundles, and the pair of artifacts when they are named."""
    from edgekit.workflow.inputs import opened_bundle  # here, so that --help does not wait for it

    path_a, key_a = split(a)
    path_b, key_b = split(b) if b is not None else (None, None)
    with ExitStack() as stack:
        first = stack.enter_context(opened_bundle(path_a))
        second = None if path_b is None else stack.enter_context(opened_bundle(path_b))
        if key_a is None and key_b is None:
            yield first, second, None
            return
        key_a = key_a or _only(first)
        if second is None:
            raise UsageError(
                f"{a} names one artifact, and there is nothing to compare it with",
                hint="give a second one",
            )
        yield first, second, [(key_a, key_b or _only(second))]


def split(text: str) -> tuple[Path, str | None]:
    """`PATH:ARTIFACT`, or a path."""
    path, colon, key = text.rpartition(":")
    if colon and path and "/" not in key and not Path(text).exists():
        return Path(path), key
    return Path(text), None


def _only(bundle: Bundle) -> str:
    artifacts = bundle.manifest.artifacts
    if len(artifacts) != 1:
        keys = ", ".join(artifact.key for artifact in artifacts)
        raise UsageError(
            f"{bundle.path}: which artifact?", hint=f"write BUNDLE:ARTIFACT with one of {keys}"
        )
    return artifacts[0].key


def _stored(a: str, b: str | None, margin: float) -> CompareResult:
    from edgekit import store

    if b is None:
        raise UsageError("--stored needs two measurements", hint="see `edgekit results list`")
    (id_a, _, key_a), (id_b, _, key_b) = a.partition(":"), b.partition(":")
    if bool(key_a) != bool(key_b):
        raise UsageError(
            "an artifact is named on one side only",
            hint="write ID:ARTIFACT on both sides, or on none",
        )
    with store.open_store() as results:
        first, second = results.load(id_a), results.load(id_b)
    return edgekit.compare_stored(
        first, second, pairs=[(key_a, key_b)] if key_a else None, margin_percent=margin
    )
