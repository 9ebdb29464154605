"""How deployment's shell programs are run on a device, and what becomes of their errors. Decides
nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from edgekit.deployment.lock_scripts import PREPARE, SWAP_LOCK
from edgekit.deployment.object_scripts import ADMIT, APPEND, DISCARD, SURVEY, UNPACK
from edgekit.deployment.tree_scripts import ACTIVATE, COLLECT, PLANT, READ_BACK, ROLL_BACK
from edgekit.devices import Device
from edgekit.errors import DeviceError, TransportError
from edgekit.sanitize import printable

TIMEOUT_S = 120.0
HASHING_S = 1800.0
"""For scripts that read all objects: 20 GB at 10 MB/s."""
TAKEN = 75
"""The exit code of a script that found a newer lock entry."""

_STEPS = {
    PREPARE: "looking for the store",
    SURVEY: "checking what is there",
    APPEND: "putting an upload together",
    DISCARD: "giving up an upload",
    UNPACK: "sending small files",
    ADMIT: "checking what arrived",
    PLANT: "linking the files",
    ACTIVATE: "switching over",
    ROLL_BACK: "switching back",
    READ_BACK: "reading the bundle",
    COLLECT: "removing old files",
    SWAP_LOCK: "locking",
}
"""What each script is for, in the message of a connection lost there."""


def call(
    device: Device,
    script: str,
    *arguments: str,
    lines: Iterable[str] = (),
    data: bytes = b"",
    timeout_s: float = TIMEOUT_S,
) -> list[str]:
    """Run a script and return the lines it printed. Raises DeviceError with the last line of its
    error output, and what `device.run` raises."""
    code, output = attempt(device, script, *arguments, lines=lines, data=data, timeout_s=timeout_s)
    if code:
        raise DeviceError(
            f"{device.name}:"
            f" {printable(output[-1]) if output else f'a command of edgekit ended with {code}'}"
        )
    return output


def attempt(
    device: Device,
    script: str,
    *arguments: str,
    lines: Iterable[str] = (),
    data: bytes = b"",
    timeout_s: float = TIMEOUT_S,
) -> tuple[int, list[str]]:
    """Run a script with `data` or `lines` as its input: its exit code, and the lines of standard
    output, or of standard error when it is not 0."""
    data = data or "".join(f"{line}\n" for line in lines).encode()
    with during(device, _STEPS[script]):
        done = device.run(
            ["sh", "-c", script, "edgekit", *arguments], timeout_s=timeout_s, stdin=data
        )
    if done.exit_code is None:
        raise DeviceError(f"{device.name}: a command of edgekit was ended by signal {done.signal}")
    text = done.stderr if done.exit_code else done.stdout
    return done.exit_code, text.decode("utf-8", "replace").splitlines()


@contextmanager
def during(device: Device, step: str) -> Iterator[None]:
    """A TransportError from the block names the step."""
    try:
        yield
    except TransportError as error:
        message = error.message.removeprefix(f"{device.name}: ")
        raise type(error)(
            f"{device.name}: {step}: {message}", hint=error.hint, details=error.details
        ) from None
