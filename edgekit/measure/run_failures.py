"""Why a run failed, in plain words and with a remedy: from what a runner reported, what it printed,
how it ended, and how the device was before and after it. Runs nothing."""

from __future__ import annotations

import re
import signal

from edgekit.devices import CompletedProgram
from edgekit.devices.facts import DeviceState
from edgekit.errors import DeadlinePassed, EdgekitError, RunnerError, TransportError
from edgekit.sanitize import printable

KILLED_EXIT_CODE = 128 + signal.SIGKILL
NOT_STARTED_EXIT_CODE = 126
"""POSIX shells: found, but cannot be started."""
NOT_STARTED_HINT = (
    "programs may not start where it lies, as on a noexec mount: `edgekit target check` tells; set"
    " `workdir` in the target to a directory on another mount"
)


def given_up(error: TransportError, before: DeviceState, after: DeviceState) -> EdgekitError:
    """A run that was given up although the device answers: it started anew, the connection was lost
    for a moment, or the program hung."""
    if rebooted(before, after):
        return reboot_error()
    if not isinstance(error, DeadlinePassed):
        return error
    hint = (
        "lower bench.max_seconds, or raise timeouts.run_seconds or timeouts.no_progress_seconds in"
        " the target"
    )
    return RunnerError(f"the runner did not finish: {error.message}", hint=hint)


def rebooted(before: DeviceState, after: DeviceState) -> bool:
    """Whether the device started anew in between, as far as it tells."""
    return bool(before.boot_id and after.boot_id and before.boot_id != after.boot_id)


def reboot_error() -> RunnerError:
    return RunnerError(
        "the device rebooted during the run", hint="check its power supply and temperature"
    )


def failed(
    done: CompletedProgram, reported: str | None, before: DeviceState, after: DeviceState | None
) -> RunnerError:
    """A run that ended badly, in words: what the runner reported itself, else how it was ended. A
    device that starts anew kills all programs first, and may still tell how they ended."""
    if after is not None and rebooted(before, after):
        return reboot_error()
    details: dict[str, object] = {"stderr": last_lines(done.stderr, 20)}
    if done.signal == signal.SIGKILL or done.exit_code == KILLED_EXIT_CODE:
        return RunnerError(
            _killed(before, after),
            hint="free memory on the device, or use a smaller model",
            details=details,
        )
    if done.signal is not None:
        name = (
            signal.Signals(done.signal).name
            if done.signal in set(signal.Signals)
            else f"signal {done.signal}"
        )
        hint = (
            "the runtime may be built for another CPU"
            if name == "SIGILL"
            else "the runtime crashed; see its messages with --debug"
        )
        return RunnerError(
            f"the runner was ended by {name}{_said(done.stderr)}", hint=hint, details=details
        )
    text = (
        f"the runner reported: {reported}"
        if reported
        else f"the runner ended with exit code {done.exit_code}{_said(done.stderr)}"
    )
    hint = _remedy(reported or last_lines(done.stderr, 1))
    if not reported and done.exit_code == NOT_STARTED_EXIT_CODE:
        hint = hint or NOT_STARTED_HINT
    return RunnerError(text, hint=hint, details=details)


def _remedy(message: str) -> str:
    """For what the kernel or the dynamic loader say of a program that does not fit, or a library
    that is missing or too old."""
    if "Exec format error" in message:
        return (
            "the program is for another architecture than the device's: build it for that, or let"
            " edgekit provide its own"
        )
    if "cannot open shared object file" in message:
        return (
            "install the library on the device; if it is one of edgekit's own, run again: what is"
            " missing is sent again"
        )
    if re.search(r"version .?[A-Z]+_[0-9.]+.? not found", message):
        return (
            "the device's system is older than the runtime: update it, or use a runner of its own"
            " (runners.executorch.program in the target)"
        )
    if "failed to map segment" in message:
        return NOT_STARTED_HINT
    return ""


def _killed(before: DeviceState, after: DeviceState | None) -> str:
    available = (
        ""
        if before.available_bytes is None
        else f"; {before.available_bytes >> 20} MiB were available before the run"
    )
    counts = (before.oom_kills, after.oom_kills if after else None)
    if counts[0] is None or counts[1] is None:
        return (
            "the runner was killed (SIGKILL), most likely because the device ran out of"
            f" memory{available}"
        )
    if counts[1] > counts[0]:
        return f"the kernel killed the runner because the device ran out of memory{available}"
    return "the runner was killed from outside (SIGKILL; the kernel counts no out-of-memory kill)"


def last_lines(stderr: bytes, count: int) -> str:
    """The last lines a program printed, made harmless for a terminal."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return "\n".join(printable(line) for line in lines[-count:])


def _said(stderr: bytes) -> str:
    last = last_lines(stderr, 1)
    return f": {last}" if last else ""
