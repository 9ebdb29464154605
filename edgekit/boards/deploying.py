"""Bundles and runtimes onto the board of a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit import deployment
from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.bundle.manifest import RuntimeName
from edgekit.bundle.signing import require_signature
from edgekit.cancel import Cancel
from edgekit.deployment import DeployReport, VerifiedBundle
from edgekit.devices import Device, connect
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import RunnerError, UsageError
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

    Args:
        bundle: A bundle or its directory.
        target: A target, as a value, a name or a file.
        device: A connected device to use. Default: connect, and close at the end.
        dry_run: Change nothing on the board, and say what would be sent.
        progress: Told where the work is.
        cancel: Ends the work when it is requested: KeyboardInterrupt is raised, and what was
            current before still is.

    Returns:
        What was sent, in bytes and files, and where each artifact is on the board.

    Raises:
        UsageError: No such target, or not a bundle.
        ResultError: Not signed as the target demands; nothing is sent.
        BusyError: Somebody else uses the board.
        DeviceError: The disk is full, or permissions are missing.
        TransportError: The board cannot be reached.
        IdentityError: An unknown host key, or the login was refused.

    Example:
        >>> edgekit.deploy("net", "desk").activated
        True
        >>> edgekit.deploy("net", "desk").bytes_moved
        0
    """
    loaded = as_target(target)
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    require_signature(opened, loaded)
    with reached(loaded, device, cancel) as board:
        return deployment.deploy(opened, board, loaded.workdir, dry_run=dry_run, progress=progress)


def rollback(target: AnyTarget, *, device: Device | None = None) -> VerifiedBundle:
    """Make the previous bundle of a board the current one, after reading all of it.

    Args:
        target: A target, as a value, a name or a file.
        device: A connected device to use. Default: connect, and close at the end.

    Returns:
        The name in the store of what is current now, and how many files were read.

    Raises:
        UsageError: No such target.
        BusyError: Somebody else uses the board.
        DeviceError: There is no previous bundle, or it is damaged.
        TransportError: The board cannot be reached.
        IdentityError: An unknown host key, or the login was refused.

    Example:
        >>> first = edgekit.deploy("net", "desk")
        >>> second = edgekit.deploy("slow", "desk")
        >>> edgekit.rollback("desk").bundle.startswith(first.bundle_id[:12])
        True
    """
    loaded = as_target(target)
    with reached(loaded, device) as board:
        return deployment.rollback(board, loaded.workdir)


def verify(target: AnyTarget, *, device: Device | None = None) -> VerifiedBundle:
    """Read every byte of a board's current bundle there.

    Args:
        target: A target, as a value, a name or a file.
        device: A connected device to use. Default: connect, and close at the end.

    Returns:
        The bundle's name in the store, which starts with its id, and how many files were read.

    Raises:
        UsageError: No such target.
        DeviceError: There is no bundle, or files are missing or altered.
        TransportError: The board cannot be reached.
        IdentityError: An unknown host key, or the login was refused.

    Example:
        >>> report = edgekit.deploy("net", "desk")
        >>> edgekit.verify("desk").bundle.startswith(report.bundle_id[:12])
        True
    """
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
    """Bring the runtimes for artifacts onto a board, which needs no internet for it.

    They are built and fetched on this machine. Where the board cannot run one, the others are still
    installed, then RunnerError names what is missing.

    Args:
        target: A target, as a value, a name or a file. What its file says it has is left out.
        formats: The runtimes, `executorch` and `litert`.
        offline_cache: A directory to keep them in, for a machine without internet.
        device: A connected device to use. Default: connect, and close at the end.
        progress: Told where the work is.
        cancel: Ends the work when it is requested; KeyboardInterrupt is raised.

    Returns:
        The runtimes that are on the board now, with every file and its SHA-256.

    Raises:
        RunnerError: A runtime cannot be had for this board.
        UsageError: No such target; or this machine lacks the extra for its own runtime.
        EdgekitError: As `deploy` raises it.

    Example:
        The target `desk` has its own program for `.pte` files, so nothing is sent:

        >>> edgekit.setup("desk", formats=["executorch"]).runtimes
        ()
    """
    loaded = as_target(target)
    runtimes: list[Runtime] = []
    refused: list[RunnerError | UsageError] = []
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
            except (RunnerError, UsageError) as error:
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
        raise type(refused[0])(
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
