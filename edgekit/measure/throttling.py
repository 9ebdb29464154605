"""Did a device slow its processor down between two moments? Reads what probes recorded: Raspberry
Pi's firmware, the kernel's cooling devices, Android's thermal status. Asks no device; what becomes
of the answer is validity.py's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from edgekit.devices.facts import Cooling, DeviceState

LIVE_FLAGS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of Raspberry Pi's get_throttled; each has happened since boot when the bit 16 higher is
set."""
OF_THE_PROCESSOR = re.compile(r"cpu|^processor|powerclamp|^thermal-(idle|pause)", re.IGNORECASE)
"""Cooling devices that take clock or time from processor cores: thermal-cpufreq-0, cpufreq-cpu0,
cpu-isolate1, Processor (ACPI), intel_powerclamp, thermal-idle-0, thermal-pause-0F. All others, such
as a display's backlight, a charger, a radio or a fan, slow no inference down."""
FAN = re.compile(r"fan", re.IGNORECASE)


def throttling(before: DeviceState, after: DeviceState) -> str:
    """How a device throttled between two moments, or an empty string when no probe says so."""
    if flags := _throttled_flags(before, after):
        return flags
    for name, was, now in _pairs(before, after):
        if slows_the_processor(name) and (_changed(was, now) or max(was.state, now.state) > 0):
            return f"cooling by {name}"
    status = max(before.thermal_status or 0, after.thermal_status or 0)
    return f"Android thermal status {status}" if status else ""


def other_cooling(before: DeviceState, after: DeviceState) -> list[str]:
    """Cooling devices that were used in between and are not the processor's, by name; without
    fans, which are no sign of anything."""
    names = [name for name, was, now in _pairs(before, after) if _changed(was, now)]
    return [name for name in names if not slows_the_processor(name) and not FAN.search(name)]


def can_tell_throttling(state: DeviceState) -> bool:
    """Whether a device has a probe at all that would show it."""
    return (
        state.throttled_flags is not None
        or state.thermal_status is not None
        or any(slows_the_processor(device.name) for device in state.cooling)
    )


def slows_the_processor(name: str) -> bool:
    """Whether a cooling device of this type works by slowing the processor down."""
    return bool(OF_THE_PROCESSOR.search(name)) and not FAN.search(name)


def _throttled_flags(before: DeviceState, after: DeviceState) -> str:
    """Live at either moment, or happened in between."""
    first, last = before.throttled_flags or 0, after.throttled_flags or 0
    bits = first | last | (last >> 16 & ~(first >> 16))
    return ", ".join(name for bit, name in LIVE_FLAGS.items() if bits >> bit & 1)


def _changed(was: Cooling, now: Cooling) -> bool:
    return now.state > was.state or (now.transitions or 0) > (was.transitions or 0)


def _pairs(before: DeviceState, after: DeviceState) -> Iterator[tuple[str, Cooling, Cooling]]:
    """The same device at both moments. A driver that comes or goes moves the kernel's numbers, so
    that devices are known by their type, and those of one type by their order; one that was not
    there before was idle then."""
    earlier = dict(_numbered(before))
    for key, now in _numbered(after):
        was = earlier.get(key, Cooling(name=now.name, state=0, transitions=now.transitions))
        yield now.name, was, now


def _numbered(state: DeviceState) -> Iterator[tuple[tuple[str, int], Cooling]]:
    count: Counter[str] = Counter()
    for device in state.cooling:
        yield (device.name, count[device.name]), device
        count[device.name] += 1
