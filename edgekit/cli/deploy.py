"""`edgekit deploy`, `edgekit verify` and `edgekit rollback`: bundles on boards, without
measuring."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json, OneTarget, Targets

if TYPE_CHECKING:
    from edgekit.deployment import DeployReport


def deploy(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="The bundle directory that `edgekit build` printed.",
            show_default=False,
        ),
    ],
    targets: Targets,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a bundle the current one of a board, atomically. What is there already is not sent
    again.

    Several targets are served at the same time.

    Example: edgekit deploy build/quickstart-0123456789ab --target pi5 --target pi4
    """
    from edgekit.workflow.deploy import DeployFailed  # here, so that --help does not wait for it

    try:
        with live_progress(quiet=as_json) as progress:
            reports = edgekit.deploy_each(bundle, targets, dry_run=dry_run, progress=progress)
    except DeployFailed as failed:
        if not as_json:
            _show_reports(failed.reports, dry_run)
        raise
    if as_json:
        answers = {name: dataclasses.asdict(report) for name, report in reports.items()}
        print(json.dumps({"targets": answers}))
    else:
        _show_reports(reports, dry_run)


def _show_reports(reports: Mapping[str, DeployReport], dry_run: bool) -> None:
    from edgekit.reporting import boards

    for name, report in reports.items():
        _say(boards.deployment(name, report, dry_run=dry_run))


def verify(target: OneTarget, as_json: Json = False) -> None:
    """Read every byte of a board's current bundle there, and compare it with its hash.

    Example: edgekit verify --target pi5
    """
    verified = edgekit.verify(target)
    if as_json:
        print(json.dumps(dataclasses.asdict(verified)))
    else:
        _say(f"{verified.bundle[:12]} is whole: {verified.files} files, every byte read")


def rollback(target: OneTarget, as_json: Json = False) -> None:
    """Make the previous bundle of a board the current one again, after reading all of it. Twice
    leads back.

    Example: edgekit rollback --target pi5
    """
    verified = edgekit.rollback(target)
    if as_json:
        print(json.dumps(dataclasses.asdict(verified)))
    else:
        _say(f"{verified.bundle[:12]} is current again: {verified.files} files, every byte read")


def _say(text: str) -> None:
    stdout(highlight=False, soft_wrap=True, markup=False).print(text)
