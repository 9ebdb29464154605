"""Bundles and runtimes onto the board of a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit import deployment
from edgekit.bundle.manifest import Bundle, RuntimeName, open_bundle
from edgekit.bundle.signing import require_signature
from edgekit.cancel import Cancel
from edgekit.deployment import DeployReport, Verified
from edgekit.devices import Device, connect
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import RunnerError
from edgekit.progress import Progress, silent
from edgekit.runners.board_platform import platform_of
from edgekit.runners.runtime import RUNTIME_NAMES, Runtime, as_dict, prepare

AnyTarget = Target | str | Path


@dataclass(frozen=True)
class SetupReport:
    """The runtimes that are on a board now, as plain values with every file and its hash."""

    target: str
    runtimes: tuple[dict[str, object], ...]


def deploy(
    bundle: Bundle | str | Path,
    target: AnyTarget,
    *,
    device: Device | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    cancel: Cancel | None = None,
) -> DeployReport:
    """Make a bundle the current one of a target's board. What was current can be rolled back to;
    content that is there is not sent again.

    With `dry_run` nothing changes on the board. A request by `cancel` ends it: KeyboardInterrupt is
    raised, and what was current before still is. Raises UsageError (no such target, not a bundle),
    ResultError (not signed as the target demands; nothing is sent), BusyError (somebody else uses
    the board), DeviceError (disk, permissions), TransportError, IdentityError."""
    loaded = as_target(target)
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    require_signature(opened, loaded)
    with reached(loaded, device, cancel) as board:
        return deployment.deploy(opened, board, loaded.workdir, dry_run=dry_run, progress=progress)


def rollback(target: AnyTarget, *, device: Device | None = None) -> Verified:
    """Make the previous bundle of a board the current one, after reading all of it. Raises
    DeviceError: there is none, or it is damaged."""
    loaded = as_target(target)
    with reached(loaded, device) as board:
        return deployment.rollback(board, loaded.workdir)


def verify(target: AnyTarget, *, device: Device | None = None) -> Verified:
    """Read every byte of a board's current bundle there. Raises DeviceError: there is none, or
    files are missing or altered."""
    loaded = as_target(target)
    with reached(loaded, device) as board:
        return deployment.verify(board, loaded.workdir)


def setup(
    target: AnyTarget,
    *,
    formats: Sequence[RuntimeName] = RUNTIME_NAMES,
    offline_cache: str | Path | None = None,
    device: Device | None = None,
    progress: Progress = silent,
    cancel: Cancel | None = None,
) -> SetupReport:
    """Bring the runtimes for artifacts of these formats onto a board, which needs no internet for
    it.

    They are built and fetched on this machine; `offline_cache` is a directory to keep them in, for
    a machine that has no internet either. When the
    board cannot run one format, the others are still installed, then RunnerError names what is
    missing. Raises what `deploy`
    raises."""
    loaded = as_target(target)
    runtimes: list[Runtime] = []
    refused: list[RunnerError] = []
    with reached(loaded, device, cancel) as board:
        platform = platform_of(loaded, board)
        for format in formats:
            if loaded.runners.program(format):
                continue  # the board has its own
            try:
                runtimes += prepare(
                    platform,
                    formats=(format,),
                    offline_cache=Path(offline_cache) if offline_cache else None,
                    progress=progress,
                )
            except RunnerError as error:
                refused.append(error)
        if runtimes:
            with deployment.hold(board, loaded.workdir) as lock:
                for runtime in runtimes:
                    deployment.provision(
                        board, loaded.workdir, runtime, lock=lock, progress=progress
                    )
    if refused:
        installed = (
            f" (installed: {', '.join(runtime.format for runtime in runtimes)})" if runtimes else ""
        )
        raise RunnerError(
            f"{loaded.name}: {'; '.join(error.message for error in refused)}{installed}",
            hint=refused[0].hint,
        )
    return SetupReport(loaded.name, tuple(as_dict(runtime) for runtime in runtimes))


@contextmanager
def reached(
    target: Target, device: Device | None, cancel: Cancel | None = None
) -> Iterator[Device]:
    """The device given, or a new connection that is closed at the end."""
    if device is not None:
        yield device
        return
    with closing(connect(target, cancel)) as connected:
        yield connected
