"""What a board's answers mean for measuring: an item each, with the command that fixes it. Pure:
asks no board. What they mean for deployment is store_items.py's.

What the board offers no probe for is `unknown`, which is not `ok`. Each item of level `problem`
has the exit code of its class of error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit.boards import advice
from edgekit.devices.facts import DeviceFacts, DeviceState
from edgekit.devices.target import Target
from edgekit.devices.thermal import matching_zones
from edgekit.errors import DeviceError
from edgekit.measure.throttling import can_tell_throttling, throttling
from edgekit.measure.validity import BUSY_LOAD_PER_CPU
from edgekit.runners.compiling import ARCHITECTURES, OLDEST_GLIBC
from edgekit.runners.needs import PINNED_NEEDS, unmet
from edgekit.runners.runtime import RUNTIMES, Platform, older

Level = Literal["ok", "note", "unknown", "warning", "problem"]

CLOCK_S = 60
MEMORY_WARNING_BYTES = 200 << 20
HOT_C = 75.0


@dataclass(frozen=True)
class CheckItem:
    """One thing that was looked at. `fix` is a command for the user's own shell, or a sentence
    where no command does it."""

    check: str
    level: Level
    text: str
    fix: str = ""
    exit_code: int = 0


def of_platform(board: Platform, target: Target) -> Iterator[CheckItem]:
    """Which runtimes the board can run."""
    yield _architecture(board.arch)
    if board.is_host:
        yield CheckItem("python", "ok", f"{board.python}")
        return
    yield c_library(board)
    if board.python_version is None:
        yield _without_python(board, target)
    else:
        numpy = board.numpy or "not installed (not needed: edgekit brings it)"
        yield CheckItem("python", "ok", f"{board.python_version}, numpy {numpy}")


def _without_python(board: Platform, target: Target) -> CheckItem:
    """Python is for LiteRT's runner in Python only."""
    litert = target.runners.litert
    if litert.kind != "python" and board.arch in ARCHITECTURES:
        text = f"{litert.python} does not start; only a .tflite with a state or such needs it"
        return CheckItem("python", "note", text)
    text = f"{litert.python} does not start; .tflite needs it"
    fix = advice.install(target, "python3") or "deploy .pte files only"
    return CheckItem("python", "warning", text, fix)


def _architecture(arch: str) -> CheckItem:
    if arch in ARCHITECTURES:
        return CheckItem("architecture", "ok", arch)
    if arch == "armv7l":
        fix = "only .tflite runs on it; a 64-bit system runs both"
        return CheckItem("architecture", "warning", arch, fix)
    text = f"{arch}: there are no runtimes for it"
    fix = "use a board with a 64-bit ARM or x86 system"
    return CheckItem("architecture", "problem", text, fix, DeviceError.exit_code)


def c_library(board: Platform) -> CheckItem:
    """What the runtimes' libraries need, as it stands in their files, against what is there."""
    if board.glibc is None:
        text = "not glibc: the native runners bring their own, which no phone has proven yet"
        fix = "or set runners.executorch.program in the target to a runner of yours"
        return CheckItem("C library", "warning", text, fix)
    text = f"glibc {board.glibc}"
    if board.glibcxx:
        text += f", libstdc++ with GLIBCXX_{board.glibcxx}"
    if older(board.glibc, OLDEST_GLIBC):
        text += f"; the runtimes need {OLDEST_GLIBC}"
        return CheckItem("C library", "warning", text, "install a newer system, such as Debian 12")
    lacking = {
        runtime: unmet(PINNED_NEEDS.get((runtime, board.arch), {}), board.libraries)
        for runtime in RUNTIMES
    }
    if lacking["executorch"]:
        text += f"; .pte needs {lacking['executorch']}"
        return CheckItem("C library", "warning", text, "install a newer system, such as Debian 12")
    if lacking["litert"]:
        text += f"; LiteRT in the version that exports needs {lacking['litert']}"
        fix = (
            "the native runner brings its own C library; for the one in Python install a newer"
            " system, such as Debian 12, or an older LiteRT is taken if one fits"
        )
        return CheckItem("C library", "note", text, fix)
    return CheckItem("C library", "ok", text)


def of_clock(clock: int | None, now: float, target: Target) -> CheckItem:
    if clock is None:
        return CheckItem("clock", "unknown", "`date` does not tell")
    apart_s = abs(clock - now)
    if apart_s <= CLOCK_S:
        return CheckItem("clock", "ok", f"{apart_s:.0f} s from this machine's")
    side = "ahead of" if clock > now else "behind"
    text = f"{apart_s:.0f} s {side} this machine; measuring does not mind"
    return CheckItem("clock", "warning", text, advice.set_clock(target))


def of_tools(missing: Sequence[str], target: Target) -> CheckItem:
    if not missing:
        return CheckItem("tools", "ok", "all that deployment needs")
    fix = (
        advice.install(target, "coreutils", "findutils", "grep", "tar")
        or "toybox or busybox has them all"
    )
    return CheckItem(
        "tools", "problem", f"missing: {', '.join(missing)}", fix, DeviceError.exit_code
    )


def of_state(facts: DeviceFacts, state: DeviceState, target: Target) -> Iterator[CheckItem]:
    """How fit the board is to be measured."""
    names = [name for name in (facts.machine, facts.cpu, facts.system) if name]
    yield CheckItem("machine", "ok", ", ".join(names) or "unknown: the board does not tell")
    yield _memory(state)
    yield _load(facts, state)
    yield _governor(state, target)
    yield of_temperature(state, target)
    yield of_throttling(state)


def _memory(state: DeviceState) -> CheckItem:
    if state.available_bytes is None:
        return CheckItem("memory", "unknown", "how much is available is unknown")
    text = f"{state.available_bytes >> 20} MiB available"
    if state.available_bytes < MEMORY_WARNING_BYTES:
        return CheckItem("memory", "warning", text, "stop other programs")
    return CheckItem("memory", "ok", text)


def _load(facts: DeviceFacts, state: DeviceState) -> CheckItem:
    if state.load_1min is None or facts.cpus is None:
        return CheckItem("load", "unknown", "how busy it is is unknown")
    text = f"{state.load_1min:.1f} on {facts.cpus} cores"
    if state.load_1min > BUSY_LOAD_PER_CPU * facts.cpus:
        return CheckItem("load", "warning", text, "wait until it is idle")
    return CheckItem("load", "ok", text)


def _governor(state: DeviceState, target: Target) -> CheckItem:
    governors = sorted({clock.governor for clock in state.clocks if clock.governor})
    if not governors:
        return CheckItem("governor", "unknown", "the board does not tell")
    if governors == ["performance"]:
        return CheckItem("governor", "ok", "performance")
    text = f"{', '.join(governors)}: clocks follow the load"
    return CheckItem("governor", "warning", text, advice.set_governor(target))


def of_temperature(state: DeviceState, target: Target) -> CheckItem:
    """The hottest zone, by the name that `control.cool_down.zone` takes."""
    asked = target.control.cool_down
    if asked and asked.zone and not matching_zones(state, asked.zone):
        names = ", ".join(state.temperatures_c) or "none"
        fix = "change control.cool_down.zone in the target, or leave it out"
        text = f"no thermal zone {asked.zone!r}, there are: {names}"
        return CheckItem("temperature", "problem", text, fix, DeviceError.exit_code)
    if not state.temperatures_c:
        return CheckItem("temperature", "unknown", "the board does not tell")
    zone, hottest_c = max(state.temperatures_c.items(), key=lambda item: item[1])
    unit = ", in whole degrees" if zone in state.whole_degree_zones else ""
    text = f"{hottest_c:.0f} °C ({zone}{unit})"
    if hottest_c >= HOT_C:
        return CheckItem("temperature", "warning", text, "cool it, or let it rest")
    return CheckItem("temperature", "ok", text)


def of_throttling(state: DeviceState) -> CheckItem:
    if now := throttling(state, state):
        return CheckItem("throttling", "warning", now, "check its power supply and cooling")
    if state.throttled_flags:
        return CheckItem(
            "throttling",
            "warning",
            "has throttled since it was started",
            "check its power supply and cooling, then restart it",
        )
    if not can_tell_throttling(state):
        return CheckItem("throttling", "unknown", "the board offers no probe")
    return CheckItem("throttling", "ok", "none")
