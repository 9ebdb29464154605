"""`edgekit recipe lint`: what will not work (linting). `edgekit recipe upgrade`: a recipe of format
1 as format 2."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json, Overrides
from edgekit.errors import GateFailed

if TYPE_CHECKING:
    from edgekit.linting.document_rules import LintFinding

STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def lint(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Recipes.", show_default=False)
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="A board to ask whether it can run the result."),
    ] = None,
    overrides: Overrides = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Put right in the file what is mechanical; comments and order stay."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Look for what is valid and still will not work: with the model, before anything is trained,
    and with a board when one is named.

    The exit code is 1 when there is an error, with --fix one that is left; warnings and notes do
    not count.

    Example: edgekit recipe lint recipes/quickstart.yaml
    """
    from edgekit.linting.fixes import fixed_text
    from edgekit.yaml_documents.replace_file import replace_file

    os.environ.setdefault(
        "TF_ENABLE_ONEDNN_OPTS", "0"
    )  # TensorFlow is loaded below LiteRT's converter, and would say that it has them on
    with live_progress(quiet=as_json) as progress:
        by_file = {
            file: edgekit.lint(file, overrides=overrides or (), target=target, progress=progress)
            for file in files
        }
    done: list[LintFinding] = []
    for file in files if fix else ():
        text, put_right = fixed_text(file, by_file[file])
        if put_right:
            replace_file(file, text)
            done += put_right
    findings = [finding for file in files for finding in by_file[file]]
    if as_json:
        print(
            json.dumps(
                {
                    "findings": [
                        finding.as_json() | {"fixed": finding in done} for finding in findings
                    ]
                }
            )
        )
    else:
        _show(findings, done)
    if any(finding.severity == "error" and finding not in done for finding in findings):
        raise typer.Exit(GateFailed.exit_code)


def upgrade(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The recipe, a YAML file.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the new recipe there. Default: replace the file.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rewrite a recipe of format 1 as format 2. Comments, order and layout stay.

    Of a recipe that extends another, only its own keys are changed. A recipe of format 2 is left
    alone.

    Example: edgekit recipe upgrade mine.yaml
    """
    from edgekit.recipe.upgrade import upgrade_recipe

    done = upgrade_recipe(file, output=output)
    if as_json:
        moved = [{"before": move.before, "after": move.after} for move in done.moves]
        print(json.dumps({"file": str(file), "output": str(done.output), "changes": moved}))
        return
    console = stdout(highlight=False, soft_wrap=True, markup=False)
    if not done.moves:
        console.print(f"{file}: already of format 2, left as it is")
        return
    for move in done.moves:
        console.print(f"{move.before} → {move.after}")
    console.print(f"{done.output}: format 2")


def _show(findings: Sequence[LintFinding], done: Sequence[LintFinding]) -> None:
    console = stdout(highlight=False, soft_wrap=True)
    for finding in findings:
        state = (
            "[green]fixed[/]"
            if finding in done
            else f"[{STYLES[finding.severity]}]{finding.severity}[/]"
        )
        offer = ", --fix does it" if finding.edit and finding not in done else ""
        fix = f" [dim]({escape(finding.fix)}{offer})[/]" if finding.fix else ""
        console.print(
            f"{escape(str(finding.origin))}: {state} {escape(finding.message)}"
            f" [dim]\\[{finding.code}][/]{fix}"
        )
    console.print(
        f"{len(findings)} finding{'s'[: len(findings) != 1]}"
        if findings
        else "[green]nothing found[/]"
    )
