"""`edgekit gate` and `edgekit baseline`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json
from edgekit.errors import EdgekitError, GateFailed, UsageError

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Bundle
    from edgekit.workflow.gate import Gated

SUMMARY_FILE = "GITHUB_STEP_SUMMARY"
BundlePath = Annotated[
    Path,
    typer.Argument(
        metavar="BUNDLE",
        help="The bundle directory that `edgekit build` printed.",
        show_default=False,
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help=(
            "A database URL or an SQLite file. Default: EDGEKIT_DB, else the user's data directory."
        ),
    ),
]
app = typer.Typer(
    name="baseline", help="Name bundles that later ones are gated against.", no_args_is_help=True
)


def gate(
    bundle: BundlePath,
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline",
            help="A name that `edgekit baseline list` shows, or a bundle directory.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str,
        typer.Option("--target", "-t", help="Where to measure: a name from targets/ or a file."),
    ] = "local",
    artifact: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this artifact, such as int8.tflite. May be repeated. Default: all."
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(help="Fresh runner processes per artifact and side, at least 10.", min=1),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the verdict as JUnit XML, too.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the verdict as Markdown, too.")
    ] = None,
    github_summary: Annotated[
        bool,
        typer.Option(
            "--github-summary", help=f"Append the Markdown to the file that {SUMMARY_FILE} names."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Exit with 1 when a bundle is worse than its baseline in latency, memory, size or accuracy on
    a device; with 0 when it is proven not to be.

    Both are measured in turn in one session, and stored. The limits are those of the recipe's
    `gate` section; what the measurement does not tell fails, too, unless that says `inconclusive:
    pass`.

    Example: edgekit gate build/net-0123456789ab --baseline main --target pi5 --junit gate.xml
    """
    from edgekit import store
    from edgekit.reporting import gate_files, verdicts

    opened, before = edgekit.open_bundle(bundle), _baseline(baseline)
    summary = os.environ.get(SUMMARY_FILE) if github_summary else None
    if github_summary and not summary:
        raise UsageError(
            f"--github-summary: {SUMMARY_FILE} is not set",
            hint="use --markdown FILE outside GitHub's runners",
        )
    with live_progress(quiet=as_json) as progress:
        found = edgekit.gate(
            *(opened, before, target),
            artifacts=artifact,
            settings={} if runs is None else {"runs": runs},
            progress=progress,
            on_partial=store.save,
        )
    for measurement in (found.baseline, found.candidate):
        store.save(measurement)
    if junit:
        _write(junit, gate_files.junit(found), "w")
    for path, mode in ((markdown, "w"), (Path(summary) if summary else None, "a")):
        if path:
            _write(path, gate_files.markdown(found), mode)
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        console = stdout()
        for part in verdicts.gate(found):
            console.print(part)
    _exit(found, as_json=as_json)


def _exit(found: Gated, *, as_json: bool) -> None:
    if found.passed:
        return
    if as_json:
        raise typer.Exit(GateFailed.exit_code)
    raise GateFailed(found.summary, hint=found.remedy)


def _baseline(text: str) -> Bundle:
    """By name, else by directory."""
    if Path(text).is_dir() and any(one in text for one in "/."):
        return edgekit.open_bundle(text)
    try:
        return edgekit.open_baseline(text)
    except EdgekitError:
        if Path(text).is_dir():
            return edgekit.open_bundle(text)
        raise


def _write(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


@app.command("set")
def set_(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="How gates will call it.", show_default=False)
    ],
    bundle: BundlePath,
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Let a name stand for a bundle. A copy of the bundle is kept.

    Example: edgekit baseline set main build/net-0123456789ab
    """
    made = edgekit.set_baseline(name, bundle, db)
    print(
        json.dumps(vars(made))
        if as_json
        else f"{made.name} is {made.bundle_name} {made.bundle_id[:12]}"
    )


@app.command("list")
def list_(db: Database = None, as_json: Json = False) -> None:
    """List baselines.

    Example: edgekit baseline list
    """
    found = edgekit.list_baselines(db)
    if as_json:
        print(json.dumps({"baselines": [vars(one) for one in found]}))
    elif not found:
        print("no baselines yet: see `edgekit baseline set`")
    else:
        from edgekit.reporting.verdicts import baselines_table

        stdout().print(baselines_table(found))


@app.command()
def remove(
    name: Annotated[
        str, typer.Argument(help="As `edgekit baseline list` shows it.", show_default=False)
    ],
    db: Database = None,
    as_json: Json = False,
) -> None:
    """Forget a baseline, and the copy of its bundle.

    Example: edgekit baseline remove main
    """
    edgekit.remove_baseline(name, db)
    print(json.dumps({"removed": name}) if as_json else f"{name} is forgotten")
