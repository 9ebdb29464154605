"""What a board's answers mean for measuring: an item each, with the command that fixes it. Pure:
asks no board.

What the board offers no probe for is `unknown`, which is not `ok`. Each item of level `problem`
has the exit code of its class of error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit.boards import advice
from edgekit.boards.store_probe import StoreProbe
from edgekit.bundle.manifest import RuntimeName
from edgekit.devices.facts import DeviceFacts, DeviceState
from edgekit.devices.target import Target
from edgekit.errors import DeviceError, ResultError
from edgekit.measure.validity import BUSY_LOAD_PER_CPU, can_tell_throttling, throttling
from edgekit.runners.native import OLDEST_GLIBC, wanted_version
from edgekit.runners.runtime import VERSIONS_BELONG_TOGETHER, Platform, older

Level = Literal["ok", "note", "unknown", "warning", "problem"]

SUFFIXES: dict[RuntimeName, str] = {"executorch": ".pte", "litert": ".tflite"}
CLOCK_S = 60
DISK_WARNING_BYTES, DISK_PROBLEM_BYTES = 500 << 20, 50 << 20
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
    yield _c_library(board.glibc)
    if board.python_version is None:
        text = f"{target.runners.litert.python} does not start; .tflite needs it"
        fix = advice.install(target, "python3") or "deploy .pte files only"
        yield CheckItem("python", "warning", text, fix)
    else:
        numpy = board.numpy or "not installed (not needed: edgekit brings it)"
        yield CheckItem("python", "ok", f"{board.python_version}, numpy {numpy}")


def _architecture(arch: str) -> CheckItem:
    if arch in ("aarch64", "x86_64"):
        return CheckItem("architecture", "ok", arch)
    if arch == "armv7l":
        fix = "only .tflite runs on it; a 64-bit system runs both"
        return CheckItem("architecture", "warning", arch, fix)
    text = f"{arch}: there are no runtimes for it"
    fix = "use a board with a 64-bit ARM or x86 system"
    return CheckItem("architecture", "problem", text, fix, DeviceError.exit_code)


def _c_library(glibc: str | None) -> CheckItem:
    if glibc is None:
        fix = (
            "set runners.executorch.program in the target to a runner of yours; .tflite needs glibc"
        )
        return CheckItem("C library", "warning", "not glibc", fix)
    if older(glibc, OLDEST_GLIBC):
        text = f"glibc {glibc}, the runtimes need {OLDEST_GLIBC}"
        return CheckItem("C library", "warning", text, "install a newer system, such as Debian 12")
    return CheckItem("C library", "ok", f"glibc {glibc}")


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


def of_disk(free_kib: int | None, writable: bool, target: Target) -> CheckItem:
    where = target.workdir
    if not writable:
        fix = "set workdir in the target to a directory that its user may write to"
        text = f"{where} cannot be written to"
        return CheckItem("disk", "problem", text, fix, DeviceError.exit_code)
    if free_kib is None:
        return CheckItem("disk", "unknown", f"{where} can be written to; free space is unknown")
    text = f"{free_kib >> 10} MiB free for {where}"
    if free_kib < DISK_PROBLEM_BYTES >> 10:
        fix = "free some space, or set workdir in the target to another disk"
        return CheckItem("disk", "problem", text, fix, DeviceError.exit_code)
    if free_kib < DISK_WARNING_BYTES >> 10:
        return CheckItem("disk", "warning", text, "free some space")
    return CheckItem("disk", "ok", text)


def of_store(store: StoreProbe, target: Target) -> Iterator[CheckItem]:
    """The bundles and runtimes that are on the board."""
    deploy = f"edgekit deploy BUNDLE --target {target.name}"
    for link, missing, fix in (
        ("current", "none yet", deploy),
        ("previous", "none: nothing to roll back to", ""),
    ):
        check = f"{link} bundle"
        tree = store.links.get(link)
        name = re.fullmatch(r"bundles/([0-9a-f]{12})-[0-9a-f]{32}", tree or "")
        if tree is None:
            yield CheckItem(check, "note", missing, fix)
        elif name is None:
            yield CheckItem(check, "problem", "not one of edgekit's", deploy, ResultError.exit_code)
        else:
            yield CheckItem(check, "ok", name[1])
    for format in SUFFIXES:
        yield of_runtime(format, store.runtimes, target)


def of_runtime(format: RuntimeName, installed: Sequence[str], target: Target) -> CheckItem:
    """The runtime for a format. A .pte and the runtime that runs it belong together, so a version
    other than the one this machine exports with is pointed out."""
    check = f"runtime for {SUFFIXES[format]}"
    if program := target.runners.program(format):
        return CheckItem(check, "ok", f"your own: {program}")
    matches = (
        re.fullmatch(rf"{format}-([0-9][0-9A-Za-z.]*)-([a-z0-9_]+)-[0-9a-f]{{32}}", name)
        for name in installed
    )
    runtimes = sorted({(match[1], match[2]) for match in matches if match})
    setup = f"edgekit target setup {target.name}"
    if not runtimes:
        text = "not installed yet; `edgekit bench` installs it when it is needed"
        return CheckItem(check, "note", text, setup)
    text = ", ".join(f"{format} {version} ({arch})" for version, arch in runtimes)
    exporter = wanted_version() if format in VERSIONS_BELONG_TOGETHER else None
    if exporter is not None and exporter not in {version for version, _ in runtimes}:
        text += (
            f"; this machine exports for {exporter}, and `edgekit bench` installs that when needed"
        )
        return CheckItem(check, "note", text, setup)
    return CheckItem(check, "ok", text)


def of_state(facts: DeviceFacts, state: DeviceState, target: Target) -> Iterator[CheckItem]:
    """How fit the board is to be measured."""
    names = [name for name in (facts.machine, facts.cpu, facts.system) if name]
    yield CheckItem("machine", "ok", ", ".join(names) or "unknown: the board does not tell")
    yield _memory(state)
    yield _load(facts, state)
    yield _governor(state, target)
    yield _temperature(state)
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


def _temperature(state: DeviceState) -> CheckItem:
    if not state.temperatures_c:
        return CheckItem("temperature", "unknown", "the board does not tell")
    zone, hottest_c = max(state.temperatures_c.items(), key=lambda item: item[1])
    text = f"{hottest_c:.0f} °C ({zone})"
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
