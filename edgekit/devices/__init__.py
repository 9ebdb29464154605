"""Devices: one narrow seam between edgekit and the machine a model runs on.

Above it are deployment, runtimes and measurement; below it a transport moves bytes and runs
programs. A transport is one module with a class that fulfils `Device`, and one line in
`TRANSPORTS`. Nothing here knows recipes, bundles or models."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from edgekit.cancel import Cancel

if TYPE_CHECKING:
    from edgekit.devices.target import Target

TRANSPORTS = {
    "local": "edgekit.devices.local:connect",
    "ssh": "edgekit.devices.ssh_login:connect_target",
    "adb": "edgekit.devices.adb:connect",
}
"""Kind of target to `module:function`; the function takes the target and a `Cancel`, and returns a
connected `Device`."""

SLICE_S = 0.2
"""The longest that a transport waits before it looks at its `Cancel` again."""

Progress = Callable[[int], None]
"""Called with the number of bytes moved since the last call."""


@dataclass(frozen=True)
class CompletedProgram:
    """A program that ran on a device.

    `exit_code` is None when the program was ended by `signal`. `stdout` and `stderr` hold at most
    the cap asked for; `*_truncated` means that more came."""

    argv: tuple[str, ...]
    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    stdout_truncated: bool = False
    stderr_truncated: bool = False

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class Device(Protocol):
    """A machine that takes files and runs programs. Paths on it are POSIX strings; `argv` is never
    a shell string.

    Every wait of a device looks at `cancel`: when the work is to stop, the wait raises
    KeyboardInterrupt. Who waits between two programs does so by `cancel.sleep`."""

    name: str
    cancel: Cancel

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        no_progress_s: float | None = None,
        stdin: bytes = b"",
        max_stdout_bytes: int = 64 << 20,
        max_stderr_bytes: int = 1 << 20,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> CompletedProgram:
        """Run a program and wait for it.

        The whole process group is killed when `timeout_s` is over, when nothing is printed for
        `no_progress_s`, or on Ctrl-C. Output beyond the caps is read and dropped. `on_stdout` sees
        each chunk as it arrives (the same bytes that land in `CompletedProgram.stdout`).

        Raises TransportError (unreachable, deadline), IdentityError (login refused), DeviceError
        (no such program or no permission to start it)."""
        ...

    def push(
        self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None
    ) -> None:
        """Write a file; what `remote` held before is replaced. Not atomic: deployment stages,
        checks and renames.

        Raises TransportError, DeviceError (disk full, read-only, no permission).
        """
        ...

    def pull(
        self, remote: str, local: Path, *, max_bytes: int, progress: Progress | None = None
    ) -> None:
        """Read a file of at most `max_bytes`. Raises TransportError, DeviceError (missing,
        unreadable), ResultError (larger than `max_bytes`)."""
        ...

    def close(self) -> None: ...


def connect(target: Target, cancel: Cancel | None = None) -> Device:
    """The device of a target, ready to use. The caller closes it.

    Args:
        target: A target, as `load_target` gives it.
        cancel: A request by it ends what the device waits for, from the connecting on.

    Returns:
        The device.

    Raises:
        TransportError: The board cannot be reached.
        IdentityError: An unknown host key, or the login was refused.
        DeviceError: The board does not answer as a board does.

    Example:
        >>> import contextlib
        >>> with contextlib.closing(edgekit.connect(edgekit.load_target("desk"))) as device:
        ...     print(device.name)
        desk
    """
    module, _, function = TRANSPORTS[target.kind].partition(":")
    connect_kind = getattr(importlib.import_module(module), function)
    return cast(Device, connect_kind(target, cancel or Cancel()))
