"""INA2xx and other power monitors that the kernel shows as hwmon: `power1_input` in µW, else
`curr1_input` in mA times `in1_input` in mV (kernel documentation, hwmon/sysfs-interface)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.devices import Device
from edgekit.devices.probe import Probe
from edgekit.devices.target_sections import PowerSensor
from edgekit.errors import DeviceError
from edgekit.power import read_files
from edgekit.sanitize import printable

ROOT = "/sys/class/hwmon"
LIST = r"""
grep -asH '' "$1"/hwmon*/name \
  "$1"/hwmon*/power*_input "$1"/hwmon*/curr*_input "$1"/hwmon*/in*_input
exit 0
"""


@dataclass(frozen=True)
class Hwmon:
    """`probes` are power in µW, or current in mA and voltage in mV."""

    name: str
    probes: tuple[Probe, ...]

    def watts(self, values: Sequence[int | None]) -> float | None:
        known = [value for value in values if value is not None]
        if len(known) != len(self.probes):
            return None
        return known[0] * 1e-6 if len(known) == 1 else known[0] * known[1] * 1e-6


def open_sensor(settings: PowerSensor, device: Device, *, root: str | None = None) -> Hwmon:
    """The chip called `settings.chip`, or the only one that measures power; `settings.channel` is
    the number in its file names.

    Raises DeviceError: none, several, or without such a channel.
    """
    files = read_files(device, LIST, root or ROOT)
    chips = {
        posixpath.dirname(path): name
        for path, name in files.items()
        if posixpath.basename(path) == "name"
    }
    probes_of = {
        place: _probes(files, place, settings.channel)
        for place, name in chips.items()
        if settings.chip in (None, name)
    }
    usable = {place: probes for place, probes in probes_of.items() if probes}
    if len(usable) != 1:
        known = ", ".join(sorted(printable(name) for name in chips.values())) or "none"
        which = "no power sensor" if not usable else "several power sensors"
        raise DeviceError(
            f"{device.name}: {which} with channel {settings.channel}",
            hint=f"set power.chip and power.channel; hwmon has: {known}",
        )
    place, probes = next(iter(usable.items()))
    return Hwmon(name=printable(f"hwmon {chips[place]} channel {settings.channel}"), probes=probes)


def _probes(files: dict[str, str], place: str, channel: int) -> tuple[Probe, ...]:
    power, current, voltage = (f"{place}/{kind}{channel}_input" for kind in ("power", "curr", "in"))
    if power in files:
        return (Probe(kind="power_w", name="power", path=power, scale=1e-6),)
    if current in files and voltage in files:
        return tuple(
            Probe(kind="power_part", name=name, path=path)
            for name, path in (("current", current), ("voltage", voltage))
        )
    return ()
