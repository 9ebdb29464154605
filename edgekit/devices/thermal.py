"""What the kernel's thermal zones read, and which of them tell how hot a device is. Pure: asks no
device.

A zone's file holds thousandths of a degree Celsius (kernel documentation, sysfs-api.rst), but some
drivers write whole degrees, some zones are a voltage or a current, and some never move."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from edgekit.devices.facts import DeviceState

MILLI = 1000
HIGHEST_C = 125.0
"""Above what any of these chips survives."""
NO_TEMPERATURE = re.compile(r"lmh-dcvs|ibat|vbat|vph|bcl|^socd?$", re.IGNORECASE)
"""Types of zones that hold something else: limits, currents and voltages of a phone's battery, its
state of charge (Qualcomm's kernels)."""
STUCK_READINGS = 4


def zone_reading(kind: str, raw: int) -> tuple[float, bool] | None:
    """Degrees Celsius of a zone from its type and what its file holds, and whether that is in whole
    degrees; None where it is no temperature of a running device: another quantity, 0 (not fitted),
    below 0, or above 125 °C."""
    whole = abs(raw) < MILLI
    celsius = float(raw) if whole else raw / MILLI
    if NO_TEMPERATURE.search(kind) or not 0 < celsius <= HIGHEST_C:
        return None
    return celsius, whole


def matching_zones(state: DeviceState, zone: str) -> list[str]:
    """The zones that a user means: `cpu-thermal 0` is one, `cpu-thermal` all of that type."""
    return [name for name in state.temperatures_c if zone in (name, name.rpartition(" ")[0])]


def stuck_zones(states: Sequence[DeviceState], *, worked: bool) -> dict[str, float]:
    """Zones that never moved in what may be the states of one session, with their °C. `worked`:
    the device ran something in between. Where it did not, a zone counts as stuck only beside
    another one that moved: a device at rest has a steady temperature."""
    if len(states) < STUCK_READINGS:
        return {}
    readings = {
        zone: {state.temperatures_c.get(zone, first) for state in states}
        for zone, first in states[0].temperatures_c.items()
    }
    still = {zone: values.pop() for zone, values in readings.items() if len(values) == 1}
    return still if worked or len(still) < len(readings) else {}


def hottest_c(state: DeviceState, *, without: Collection[str] = ()) -> float | None:
    """The highest temperature of a device; None where no zone tells."""
    return max(
        (celsius for name, celsius in state.temperatures_c.items() if name not in without),
        default=None,
    )
