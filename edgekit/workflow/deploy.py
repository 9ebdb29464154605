"""`edgekit.deploy_each`: a bundle onto several boards at once."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

from edgekit.boards.deploying import deploy
from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.deployment import DeployReport
from edgekit.errors import EdgekitError
from edgekit.progress import Progress, silent
from edgekit.workflow.fleet import TargetsFailed, on_each
from edgekit.workflow.inputs import AnyTargets, read_targets


class DeployFailed(TargetsFailed):
    """Some of several targets failed; `reports` are those of the others, by target."""

    def __init__(self, failures: dict[str, EdgekitError], reports: dict[str, DeployReport]) -> None:
        answers = {name: asdict(report) for name, report in reports.items()}
        super().__init__(failures, reports, answers=answers)
        self.reports = reports


def deploy_each(
    bundle: Bundle | str | Path,
    targets: AnyTargets,
    *,
    dry_run: bool = False,
    progress: Progress = silent,
) -> dict[str, DeployReport]:
    """Make a bundle the current one of each target's board, all boards at the same time. One that
    fails does not stop the others.

    Args:
        bundle: A bundle or its directory.
        targets: One target or several, each as a value, a name or a file.
        dry_run: Only say what would be sent.
        progress: Told where the work is.

    Returns:
        What was sent, by the name of the target.

    Raises:
        DeployFailed: Some of several targets failed; it holds the reports of the others.
        EdgekitError: As `deploy` raises it.

    Example:
        >>> reports = edgekit.deploy_each("net", "desk")
        >>> reports["desk"].bytes_moved > 0
        True
    """
    boards = read_targets(targets)
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    outcomes = on_each(boards, partial(deploy, opened, dry_run=dry_run), progress=progress)
    if outcomes.failures:
        raise DeployFailed(outcomes.failures, outcomes.done)
    return outcomes.done
