"""`edgekit gate` and `edgekit baseline`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

import edgekit
from edgekit.cli.bench import given_settings
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json
from edgekit.cli.unstored import print_json
from edgekit.errors import EdgekitError, GateFailed, UsageError

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
    a device; 0 only if the measurement shows that it is not worse.

    Both are measured in turn in one session, and stored. The limits are those of the recipe's
    `gate` section; what the measurement does not tell fails, too, unless that says `inconclusive:
    pass`.

    Example: edgekit gate build/net-0123456789ab --baseline main --target pi5 --junit gate.xml
    """
    from edgekit.cli.verdict_files import VerdictFiles
    from edgekit.reporting import verdicts

    files = VerdictFiles(junit, markdown, _summary_file() if github_summary else None)
    files.begin()
    problem: EdgekitError | None = None
    try:
        with live_progress(quiet=as_json) as progress:
            gated = edgekit.gate(
                bundle,
                baseline,
                target,
                artifacts=artifact,
                settings=given_settings(runs=runs),
                progress=progress,
            )
    except edgekit.NotStored as unstored:
        gated, problem = unstored.result, unstored
    except EdgekitError as error:
        files.fail(error)
        raise
    problem = files.write(gated) or problem
    if as_json:
        print_json(gated.as_dict(), problem)
    else:
        console = stdout()
        for part in verdicts.gate(gated):
            console.print(part)
    if problem:
        raise problem
    if not gated.passed and as_json:
        raise typer.Exit(GateFailed.exit_code)
    if not gated.passed:
        raise GateFailed(gated.summary, hint=gated.remedy)


def _summary_file() -> Path:
    path = os.environ.get(SUMMARY_FILE)
    if not path:
        raise UsageError(
            f"--github-summary: {SUMMARY_FILE} is not set",
            hint="use --markdown FILE outside GitHub's runners",
        )
    return Path(path)


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
    named = edgekit.set_baseline(name, bundle, db)
    if as_json:
        print(json.dumps(vars(named)))
    else:
        print(f"{named.name} is {named.bundle_name} {named.bundle_id[:12]}")


@app.command("list")
def list_(db: Database = None, as_json: Json = False) -> None:
    """List baselines.

    Example: edgekit baseline list
    """
    baselines = edgekit.list_baselines(db)
    if as_json:
        print(json.dumps({"baselines": [vars(baseline) for baseline in baselines]}))
    elif not baselines:
        print("no baselines yet: see `edgekit baseline set`")
    else:
        from edgekit.reporting.verdicts import baselines_table

        stdout().print(baselines_table(baselines))


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
