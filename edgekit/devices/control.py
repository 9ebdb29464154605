"""What may be changed on a device while it is measured: the governor of its clocks. Owns the
change, its record on the device, and its undoing.

The governors are written to WORKDIR/governors.saved before the first one is changed. Whichever
comes first undoes the change: the session that made it, when it ends; a watchdog on the device,
when the session's lock (edgekit/deployment/lock.py) is released or its lease is over, which covers
a host that died; or the next session. A reboot undoes it anyway.

Cores and threads are options of the runner process (`--cpus`) and need no undoing. Waiting until a
device is cool changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from edgekit.devices import Device
from edgekit.devices.fact_scripts import collect_state
from edgekit.devices.facts import CPUFREQ, DeviceState
from edgekit.devices.thermal import hottest_c, matching_zones, stuck_zones
from edgekit.errors import DeviceError, EdgekitError
from edgekit.sanitize import printable

TIMEOUT_S = 60.0
POLL_S = 5.0
WATCH_EVERY_S = 5

_UNDO = r"""
undo() {
  [ -f "$saved" ] || return 0
  while read -r file governor; do
    case $file in */scaling_governor) echo "$governor" >"$file" || return 65 ;; esac
  done <"$saved"
  rm -f "$saved"
}
"""

_WATCH = (
    r"""
saved=$1/governors.saved
"""
    + _UNDO
    + r"""
cd "$1" && : >governors.watched || exit
while sleep "$2" && [ -f "$saved" ]; do
  newest=0
  for entry in lock.*; do
    number=${entry#lock.}
    case $number in '' | *[!0-9]*) continue ;; esac
    [ "$number" -le "$newest" ] || newest=$number
  done
  set -- "$1" "$2" $(readlink "lock.$newest")
  read -r uptime rest </proc/uptime
  if [ "$3" != held ] || [ "${4:-0}" -le "${uptime%%.*}" ]; then undo; exit; fi
done
"""
)
"""WORKDIR SECONDS. Undoes the change when the lock is free or its lease is over."""

_RESTORE = "saved=$1/governors.saved\n" + _UNDO + "undo\n"
"""WORKDIR."""

_SET = (
    "saved=$1/governors.saved\n"
    + _UNDO
    + r"""
undo || exit 65
for file in "$2"policy*/scaling_governor; do
  [ -f "$file" ] || continue
  read -r governor <"$file" && echo "$file $governor" || exit 65
done >"$saved.new"
[ -s "$saved.new" ] || { rm -f "$saved.new"; echo "no clock has a governor" >&2; exit 66; }
sync; mv -f "$saved.new" "$saved"
rm -f "$1/governors.watched"
if command -v setsid >/dev/null 2>&1; then
  setsid sh -c "$5" watch "$1" "$4" </dev/null >/dev/null 2>&1 &
  tries=0  # until it is out of this process group, which is killed when this program ends
  while [ ! -f "$1/governors.watched" ] && [ "$tries" -lt 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
fi
while read -r file governor; do
  echo "$3" >"$file" || { undo; exit 65; }
  read -r now <"$file"
  [ "$now" = "$3" ] || { undo; echo "$file stays $now" >&2; exit 65; }
done <"$saved"
"""
)
"""WORKDIR PREFIX GOVERNOR SECONDS WATCH. Exit code 66: there is nothing to govern."""


@dataclass(frozen=True)
class CoolDown:
    """How a wait went: the hottest zone before and after it in °C (None: no zone tells), and the
    seconds it took. `stuck_zones` never moved and did not count; by °C."""

    before_c: float | None
    after_c: float | None
    seconds: float
    reached: bool
    stuck_zones: Mapping[str, float]


def restore_governors(device: Device, root: str) -> None:
    """Undo what an earlier session may have left. `root` is the store's absolute path on the
    device. Raises DeviceError, TransportError."""
    _shell(device, _RESTORE, root)


@contextmanager
def governors(
    device: Device, root: str, governor: str, *, cpufreq: str = CPUFREQ
) -> Iterator[None]:
    """All clocks under `governor` while the block runs; as they were when it ends, however it ends.

    The caller holds the store's lock. Raises DeviceError: no right to (root is needed), no such
    governor, nothing to govern."""
    _shell(device, _SET, root, cpufreq, governor, str(WATCH_EVERY_S), _WATCH)
    try:
        yield
    finally:
        with suppress(EdgekitError):  # the watchdog and the next session know, too
            restore_governors(device, root)


def cool_down(
    device: Device,
    states: Sequence[DeviceState],
    below_c: float,
    timeout_s: float,
    *,
    zone: str | None = None,
    wait: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[CoolDown, DeviceState]:
    """Wait until the hottest thermal zone is below a temperature, or the time is over.

    `states` are those of the session until now, the newest last; with them, zones that never move
    are recognised. With `zone` only the zones of that name count, stuck or not.

    Returns how it went, and the state at its end. Raises DeviceError: there is no such zone.
    KeyboardInterrupt: the device's work is cancelled."""
    wait = wait or device.cancel.sleep
    _require_zone(device, states[-1], zone)
    readings, began = list(states), clock()
    before_c = _counted_c(readings, len(states), zone)
    now_c = before_c
    while now_c is not None and now_c >= below_c and clock() - began < timeout_s:
        wait(min(POLL_S, timeout_s))
        readings.append(collect_state(device))
        now_c = _counted_c(readings, len(states), zone)
    stuck = {} if zone else stuck_zones(readings, worked=len(states) > 1)
    reached = now_c is not None and now_c < below_c
    return CoolDown(before_c, now_c, clock() - began, reached, stuck), readings[-1]


def _counted_c(readings: Sequence[DeviceState], of_runs: int, zone: str | None) -> float | None:
    """The hottest of what counts in the newest state. The first `of_runs` readings have runs
    between them."""
    newest = readings[-1]
    if zone is not None:
        others = set(newest.temperatures_c) - set(matching_zones(newest, zone))
        return hottest_c(newest, without=others)
    return hottest_c(newest, without=stuck_zones(readings, worked=of_runs > 1))


def _require_zone(device: Device, state: DeviceState, zone: str | None) -> None:
    if zone is not None and not matching_zones(state, zone):
        names = ", ".join(state.temperatures_c) or "none"
        raise DeviceError(
            f"{device.name}: there is no thermal zone {zone!r} (there are: {names})",
            hint="change `control.cool_down.zone` in the target, or leave it out",
        )


def _shell(device: Device, script: str, root: str, *arguments: str) -> None:
    done = device.run(
        ["sh", "-c", script, "control", root, *arguments],
        timeout_s=TIMEOUT_S,
        max_stdout_bytes=4096,
        max_stderr_bytes=4096,
    )
    if not done.ok:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        hint = "changing it needs root on the device; or leave `control.governor` out of the target"
        raise DeviceError(
            f"{device.name}: the governor cannot be set:"
            f" {printable(lines[-1]) if lines else 'no reason given'}",
            hint=hint,
        )
