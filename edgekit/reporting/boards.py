"""Targets, what a check looked at, and deployments for a terminal. Owns layout only; text from
devices is made inert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.reporting.numbers import size
from edgekit.reporting.tables import new_table, plain
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.boards.adding import ListedTarget
    from edgekit.boards.check import CheckReport
    from edgekit.deployment import DeployReport

STYLES = {
    "ok": "green",
    "note": "dim",
    "unknown": "dim",
    "warning": "yellow",
    "problem": "bold red",
}


def target_table(targets: Sequence[ListedTarget]) -> Table:
    """One a line; a file that cannot be used says why."""
    table = new_table("Targets", "name", "kind", "address")
    table.add_column("file", overflow="fold")
    for target in targets:
        problem = Text(f"\n{printable(target.problem)}", style="red") if target.problem else Text()
        table.add_row(
            plain(target.name),
            plain(target.kind),
            plain(target.address),
            plain(target.file) + problem,
        )
    return table


def check_report(report: CheckReport) -> Iterator[RenderableType]:
    """What was found, then the remedies: commands a line each, whole, so that they can be
    copied."""
    table = new_table(f"{printable(report.target)} ({printable(report.address)})", "check", "")
    table.add_column("found", overflow="fold")
    for item in report.items:
        table.add_row(
            plain(item.check),
            Text(item.level, style=STYLES[item.level]),
            plain(item.text, limit=300),
        )
    yield table
    remedies = [item for item in report.items if item.fix]
    if remedies:
        yield Text()
    for item in remedies:
        yield Text.assemble(
            (f"{printable(item.check)}: ", STYLES[item.level]),
            printable(item.fix, limit=500),
            overflow="ignore",
            no_wrap=True,
        )


def deployment(name: str, report: DeployReport, *, dry_run: bool) -> str:
    """One line."""
    moved = f"{size(report.bytes_moved)} in {report.objects_moved} objects"
    if dry_run:
        state = "is the current one already" if report.activated else "is not the current one"
        return (
            f"{name}: {report.bundle_id[:12]} {state}; {moved} would be sent, {report.reused} are"
            " there"
        )
    return (
        f"{name}: {report.bundle_id[:12]} is current; {moved} sent, {report.reused} were there,"
        f" {report.seconds:.1f} s"
    )
