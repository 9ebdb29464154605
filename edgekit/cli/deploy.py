"""`edgekit deploy`, `edgekit verify` and `edgekit rollback`: bundles on boards, without
measuring."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

import edgekit
from edgekit.cli.console import stdout
from edgekit.cli.live import live_progress
from edgekit.cli.options import Json, OneTarget, Targets


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
    """Make a bundle the current one of a board, all of it or nothing. What is there already is not
    sent again.

    Several targets are served at the same time.

    Example: edgekit deploy build/quickstart-0123456789ab --target pi5 --target pi4
    """
    from edgekit.reporting import boards
    from edgekit.workflow.fleet import TargetsFailed, on_each

    opened, loaded = (
        edgekit.open_bundle(bundle),
        [edgekit.load_target(target) for target in targets],
    )
    with live_progress(quiet=as_json) as progress:
        found = on_each(
            loaded,
            lambda target, show, cancel: edgekit.deploy(
                opened, target, dry_run=dry_run, progress=show, cancel=cancel
            ),
            progress=progress,
        )
    reports = {name: dataclasses.asdict(report) for name, report in found.done.items()}
    if as_json and not found.failures:
        print(json.dumps({"targets": reports}))
    elif not as_json:
        for name, report in found.done.items():
            _say(boards.deployment(name, report, dry_run=dry_run))
    if found.failures:
        raise TargetsFailed(found.failures, found.done, told=reports)


def verify(target: OneTarget, as_json: Json = False) -> None:
    """Read every byte of a board's current bundle there, and compare it with its hash.

    Example: edgekit verify --target pi5
    """
    found = edgekit.verify(target)
    if as_json:
        print(json.dumps(dataclasses.asdict(found)))
    else:
        _say(f"{found.bundle[:12]} is whole: {found.files} files, every byte read")


def rollback(target: OneTarget, as_json: Json = False) -> None:
    """Make the previous bundle of a board the current one again, after reading all of it. Twice
    leads back.

    Example: edgekit rollback --target pi5
    """
    found = edgekit.rollback(target)
    if as_json:
        print(json.dumps(dataclasses.asdict(found)))
    else:
        _say(f"{found.bundle[:12]} is current again: {found.files} files, every byte read")


def _say(text: str) -> None:
    stdout(highlight=False, soft_wrap=True, markup=False).print(text)
