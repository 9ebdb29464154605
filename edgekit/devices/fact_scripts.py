"""Asking a device for facts: shell scripts in sections. One program asks any number of them.

Each line of an answer is `source:line`, where the source is a file or a name in the script. One
`grep` reads all files of a section, because starting a process costs a tenth of a second on a slow
board. What the lines mean is in fact_parsing.py, and for sections of other rooms beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.devices import Device
from edgekit.devices.fact_parsing import parse_facts, parse_state
from edgekit.devices.facts import DeviceFacts, DeviceState
from edgekit.devices.shell import last_line
from edgekit.errors import DeviceError

MAX_ANSWER_BYTES = 1 << 20
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Section:
    """A part of a script. Its arguments are $1, $2, … in it; it may `exit`, which ends only it."""

    script: str
    arguments: tuple[str, ...] = ()


FACTS = Section(r"""
echo "uname:$(uname -srm)"
files="/proc/sys/kernel/random/boot_id /proc/device-tree/model /etc/os-release /proc/cpuinfo"
grep -asH '' $files
grep -asH '^MemTotal' /proc/meminfo
if command -v getprop >/dev/null 2>&1; then
  for key in ro.product.manufacturer ro.product.model ro.build.version.release; do
    echo "$key:$(getprop "$key")"
  done
fi
""")
"""For `parse_facts`."""

STATE = Section(r"""
zone=/sys/class/thermal/thermal_zone
cooling=/sys/class/thermal/cooling_device
policy=/sys/devices/system/cpu/cpufreq/policy
grep -asH '' /proc/sys/kernel/random/boot_id /proc/loadavg \
  /proc/pressure/memory /proc/pressure/cpu \
  "$policy"*/stats/time_in_state "$policy"*/scaling_governor "$policy"*/scaling_cur_freq \
  "$policy"*/scaling_min_freq "$policy"*/scaling_max_freq \
  "$zone"*/type "$zone"*/temp \
  "$cooling"*/type "$cooling"*/cur_state "$cooling"*/stats/total_trans
grep -asH -e '^MemAvailable' -e '^oom_kill ' -e '^Cpus_allowed_list' -e '^cpu ' \
  /proc/meminfo /proc/vmstat /proc/self/status /proc/stat
if command -v vcgencmd >/dev/null 2>&1; then
  echo "vcgencmd:$(vcgencmd get_throttled 2>/dev/null)"
  echo "measure_temp:$(vcgencmd measure_temp 2>/dev/null)"
fi
if command -v dumpsys >/dev/null 2>&1; then
  dumpsys thermalservice 2>/dev/null | sed 's/^/thermalservice:/'
  dumpsys battery 2>/dev/null | sed 's/^/battery:/'
fi
""")
"""For `parse_state`."""


def ask(device: Device, *sections: Section) -> bytes:
    """What a device answers to some sections, in their order, from one program. Raises what
    `device.run` raises, DeviceError (no shell)."""
    arguments = [argument for section in sections for argument in section.arguments]
    done = device.run(
        ["sh", "-c", script_of(sections), "edgekit", *arguments],
        timeout_s=TIMEOUT_S,
        max_stdout_bytes=MAX_ANSWER_BYTES,
        max_stderr_bytes=4096,
    )
    if not done.ok:
        raise DeviceError(
            f"{device.name}: its shell cannot read /proc and /sys (exit code {done.exit_code}):"
            f" {last_line(done.stderr)}",
            hint="it must be a POSIX shell: `sh -c true` on the board must work",
        )
    return done.stdout


def script_of(sections: Sequence[Section]) -> str:
    """One script; each section runs in a subshell, and the arguments before it are shifted away."""
    parts = [f"({section.script})\nshift {len(section.arguments)}\n" for section in sections]
    return "".join([*parts, "exit 0\n"])


def collect(device: Device) -> DeviceFacts:
    """Ask a device what it is. Raises what `ask` raises, ResultError (not understood)."""
    return parse_facts(ask(device, FACTS))


def collect_state(device: Device) -> DeviceState:
    """Ask a device how it is doing. Raises what `ask` raises, ResultError (not understood)."""
    return parse_state(ask(device, STATE))


def collect_both(device: Device) -> tuple[DeviceFacts, DeviceState]:
    """Ask a device what it is and how it is doing. Raises what `collect` raises."""
    answer = ask(device, FACTS, STATE)
    return parse_facts(answer), parse_state(answer)
