"""The doctor: is a board ready to measure on, what is missing, and the command that fixes it. Owns
the findings; changes nothing on the board.

What the board offers no probe for is `unknown`, which is not `ok`. Each finding of level `problem`
has the exit code of its class of error."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from edgekit.boards import advice
from edgekit.boards.adding import address_of
from edgekit.boards.deploying import AnyTarget
from edgekit.bundle.manifest import Format
from edgekit.devices import Device, connect
from edgekit.devices.facts import DeviceFacts, DeviceState, collect, collect_state, parse_sources
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import DeviceError, EdgekitError, ResultError
from edgekit.measure.validity import BUSY_LOAD_PER_CPU, can_tell_throttling, throttling
from edgekit.runners.board_platform import platform_of
from edgekit.runners.native import OLDEST_GLIBC, wanted_version
from edgekit.runners.runtime import Platform, host_platform, older

Level = Literal["ok", "note", "unknown", "warning", "problem"]

SUFFIXES: dict[Format, str] = {"executorch": ".pte", "litert": ".tflite"}
CLOCK_S = 60
DISK_WARNING_BYTES, DISK_PROBLEM_BYTES = 500 << 20, 50 << 20
MEMORY_WARNING_BYTES = 200 << 20
HOT_C = 75.0
FILES = (
    "cat",
    "chmod",
    "df",
    "find",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "sync",
    "tar",
    "touch",
)
TOOLS = (*FILES, "grep", "sha256sum", "sort", "tail", "wc", "xargs")
"""What deployment runs on a board."""
PROBE = r"""
echo "clock:$(date +%s)"
for tool in $2; do command -v "$tool" >/dev/null 2>&1 || echo "missing:$tool"; done
case $1 in "~/"*) root=$HOME/${1#"~/"} ;; *) root=$1 ;; esac
place=$root
while [ ! -d "$place" ] && [ -n "$place" ]; do place=${place%/*}; done
echo "root:$root"
[ -w "${place:-/}" ] && echo "writable:yes"
set -- $(df -Pk "${place:-/}" 2>/dev/null | tail -n 1)
echo "free:$4"
for link in current previous; do
  if [ -L "$root/$link" ]; then echo "$link:$(readlink "$root/$link")"; fi
done
for tree in "$root"/runtimes/*; do
  if [ -d "$tree" ]; then echo "runtime:${tree##*/}"; fi
done
exit 0
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fix` is a command for the user's own shell, or a sentence
    where no command does it."""

    check: str
    level: Level
    text: str
    fix: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class CheckReport:
    """What was found, the most basic first. `exit_code` is that of the first problem, 0 if there is
    none."""

    target: str
    address: str
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        return next((finding.exit_code for finding in self.findings if finding.exit_code), 0)


def check(target: AnyTarget) -> CheckReport:
    """Look at a target's board. A board that cannot be reached is a finding; only a target that
    cannot be read raises (UsageError)."""
    wanted = as_target(target)
    return CheckReport(wanted.name, address_of(wanted), tuple(_findings(wanted)))


def _findings(target: Target) -> Iterator[Finding]:
    started = time.monotonic()
    try:
        device = connect(target)
    except EdgekitError as error:
        yield _failed("reachable", error)
        return
    with closing(device):
        yield Finding("reachable", "ok", f"in {time.monotonic() - started:.2f} s")
        yield from _guarded("platform", lambda: _platform(platform_of(target, device), target))
        yield from _guarded("board", lambda: _place(target, device))
        yield from _guarded("state", lambda: _state(collect(device), collect_state(device), target))


def _guarded(check: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What was found until a look failed, and that it did."""
    try:
        yield from look()
    except EdgekitError as error:
        yield _failed(check, error)


def _failed(check: str, error: EdgekitError) -> Finding:
    return Finding(check, "problem", error.message, error.hint, error.exit_code)


def _platform(found: Platform, target: Target) -> Iterator[Finding]:
    own = host_platform()
    usable = found.arch in ("aarch64", "x86_64")
    if usable or found.arch == "armv7l":
        yield Finding(
            "architecture",
            "ok" if usable else "warning",
            found.arch,
            "" if usable else "only .tflite runs on it; a 64-bit system runs both",
        )
    else:
        text = f"{found.arch}: there are no runtimes for it"
        yield Finding(
            "architecture",
            "problem",
            text,
            "use a board with a 64-bit ARM or x86 system",
            DeviceError.exit_code,
        )
    if found.is_host:
        yield Finding("python", "ok", f"{own.python}")
        return
    if found.glibc is None:
        yield Finding(
            "C library",
            "warning",
            "not glibc",
            "runners.executorch.program in the target names a runner of your own; .tflite needs"
            " glibc",
        )
    elif older(found.glibc, OLDEST_GLIBC):
        yield Finding(
            "C library",
            "warning",
            f"glibc {found.glibc}, the runtimes need {OLDEST_GLIBC}",
            "a newer system on the board, such as Debian 12",
        )
    else:
        yield Finding("C library", "ok", f"glibc {found.glibc}")
    if found.python_version is None:
        text = f"{target.runners.litert.python} does not start; .tflite needs it"
        yield Finding(
            "python", "warning", text, advice.install(target, "python3") or "deploy .pte files only"
        )
    else:
        yield Finding(
            "python",
            "ok",
            f"{found.python_version}, numpy"
            f" {found.numpy or 'not installed (not needed: edgekit brings it)'}",
        )


def _place(target: Target, device: Device) -> Iterator[Finding]:
    """Clock, tools, disk, and what is in the store."""
    before = time.time()
    done = device.run(
        ["sh", "-c", PROBE, "edgekit", target.workdir, " ".join(TOOLS)],
        timeout_s=60,
        max_stdout_bytes=1 << 16,
    )
    now = (before + time.time()) / 2
    said = parse_sources(done.stdout)
    yield from _clock(_number(said, "clock"), now, target)
    if missing := [tool for tool in said.get("missing", ()) if tool in TOOLS]:
        fix = (
            advice.install(target, "coreutils", "findutils", "grep", "tar")
            or "toybox or busybox has them all"
        )
        yield Finding(
            "tools", "problem", f"missing: {', '.join(missing)}", fix, DeviceError.exit_code
        )
    else:
        yield Finding("tools", "ok", "all that deployment needs")
    yield from _disk(_number(said, "free"), "writable" in said, target)
    yield from _store(said, target)


def _clock(clock: int | None, now: float, target: Target) -> Iterator[Finding]:
    if clock is None:
        yield Finding("clock", "unknown", "`date` does not tell")
    elif abs(clock - now) > CLOCK_S:
        text = (
            f"{abs(clock - now):.0f} s {'ahead of' if clock > now else 'behind'} this machine;"
            " measuring does not mind"
        )
        yield Finding("clock", "warning", text, advice.set_clock(target))
    else:
        yield Finding("clock", "ok", f"{abs(clock - now):.0f} s from this machine's")


def _disk(free_kib: int | None, writable: bool, target: Target) -> Iterator[Finding]:
    free = None if free_kib is None else free_kib * 1024
    if not writable:
        fix = "set workdir in the target to a directory that its user may write to"
        yield Finding(
            "disk", "problem", f"{target.workdir} cannot be written to", fix, DeviceError.exit_code
        )
    elif free is None:
        yield Finding(
            "disk", "unknown", f"{target.workdir} can be written to; how much is free is unknown"
        )
    elif free < DISK_PROBLEM_BYTES:
        fix = "free some space, or set workdir in the target to another disk"
        yield Finding(
            "disk",
            "problem",
            f"{free >> 20} MiB free for {target.workdir}",
            fix,
            DeviceError.exit_code,
        )
    else:
        level: Level = "warning" if free < DISK_WARNING_BYTES else "ok"
        yield Finding(
            "disk",
            level,
            f"{free >> 20} MiB free for {target.workdir}",
            "free some space" if level == "warning" else "",
        )


def _store(said: dict[str, tuple[str, ...]], target: Target) -> Iterator[Finding]:
    for which, missing in (("current", "none yet"), ("previous", "none: nothing to roll back to")):
        found = re.fullmatch(r"bundles/([0-9a-f]{12})-[0-9a-f]{32}", said.get(which, ("",))[0])
        if which in said and not found:
            yield Finding(
                f"{which} bundle",
                "problem",
                "not one of edgekit's",
                f"edgekit deploy BUNDLE --target {target.name}",
                ResultError.exit_code,
            )
        elif found:
            yield Finding(f"{which} bundle", "ok", found[1])
        else:
            fix = f"edgekit deploy BUNDLE --target {target.name}" if which == "current" else ""
            yield Finding(f"{which} bundle", "note", missing, fix)
    for format in SUFFIXES:
        yield _runtime(format, said.get("runtime", ()), target)


def _runtime(format: Format, installed: Sequence[str], target: Target) -> Finding:
    """What is there for a format. A .pte and the runtime that runs it belong together, so another
    version than this machine exports with is said."""
    check = f"runtime for {SUFFIXES[format]}"
    if own := target.runners.program(format):
        return Finding(check, "ok", f"your own: {own}")
    named = (
        re.fullmatch(rf"{format}-([0-9][0-9A-Za-z.]*)-([a-z0-9_]+)-[0-9a-f]{{32}}", name)
        for name in installed
    )
    there = sorted({(match[1], match[2]) for match in named if match})
    setup = f"edgekit target setup {target.name}"
    if not there:
        return Finding(
            check, "note", "not installed yet; `edgekit bench` installs it when it is needed", setup
        )
    text = ", ".join(f"{format} {version} ({arch})" for version, arch in there)
    if format == "executorch" and (wanted := wanted_version()) not in {
        version for version, _ in there
    }:
        return Finding(
            check,
            "note",
            f"{text}; this machine exports for {wanted}, and `edgekit bench` brings that when it is"
            " needed",
            setup,
        )
    return Finding(check, "ok", text)


def _state(facts: DeviceFacts, state: DeviceState, target: Target) -> Iterator[Finding]:
    """How fit the board is to be measured."""
    yield Finding(
        "machine",
        "ok",
        ", ".join(filter(None, (facts.machine, facts.cpu, facts.system)))
        or "says nothing about itself",
    )
    if state.available_bytes is None:
        yield Finding("memory", "unknown", "how much is available is unknown")
    else:
        scarce = state.available_bytes < MEMORY_WARNING_BYTES
        yield Finding(
            "memory",
            "warning" if scarce else "ok",
            f"{state.available_bytes >> 20} MiB available",
            "stop other programs" if scarce else "",
        )
    if state.load_1min is None or facts.cpus is None:
        yield Finding("load", "unknown", "how busy it is is unknown")
    else:
        busy = state.load_1min > BUSY_LOAD_PER_CPU * facts.cpus
        yield Finding(
            "load",
            "warning" if busy else "ok",
            f"{state.load_1min:.1f} on {facts.cpus} cores",
            "wait until it is idle" if busy else "",
        )
    governors = sorted({clock.governor for clock in state.clocks if clock.governor})
    if not governors:
        yield Finding("governor", "unknown", "the board does not tell")
    elif governors == ["performance"]:
        yield Finding("governor", "ok", "performance")
    else:
        yield Finding(
            "governor",
            "warning",
            f"{', '.join(governors)}: clocks follow the load",
            advice.set_governor(target),
        )
    hottest = max(state.temperatures_c.items(), key=lambda zone: zone[1], default=None)
    if hottest is None:
        yield Finding("temperature", "unknown", "the board does not tell")
    else:
        hot = hottest[1] >= HOT_C
        yield Finding(
            "temperature",
            "warning" if hot else "ok",
            f"{hottest[1]:.0f} °C ({hottest[0]})",
            "cool it, or let it rest" if hot else "",
        )
    yield _throttling(state)


def _throttling(state: DeviceState) -> Finding:
    if now := throttling(state, state):
        return Finding("throttling", "warning", now, "check its power supply and cooling")
    if state.throttled_flags:
        return Finding(
            "throttling",
            "warning",
            "has throttled since it was started",
            "check its power supply and cooling, then restart it",
        )
    return (
        Finding("throttling", "ok", "none")
        if can_tell_throttling(state)
        else Finding("throttling", "unknown", "the board offers no probe")
    )


def _number(said: dict[str, tuple[str, ...]], key: str) -> int | None:
    text = said.get(key, ("",))[0].strip()
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
