"""The fuel gauge of a battery, Android's or a laptop's: `/sys/class/power_supply/*/` with
`power_now` in µW, else `current_now` in µA times `voltage_now` in µV (kernel documentation,
power/power_supply_class).

The sign of a current differs from driver to driver, so its size is taken. A device on a charger is
refused, because its battery does not show what the device takes. Where the shell may not read these
files, as on some phones, there is no sensor: `dumpsys battery` gives the voltage but no current."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.devices import Device
from edgekit.devices.probe import Probe
from edgekit.devices.target_sections import PowerSensor
from edgekit.errors import DeviceError
from edgekit.power import read_files

ROOT = "/sys/class/power_supply"
LIST = r"""
grep -asH '' "$1"/*/type "$1"/*/status \
  "$1"/*/power_now "$1"/*/current_now "$1"/*/voltage_now
exit 0
"""


@dataclass(frozen=True)
class Battery:
    """`probes` are power in µW, or current in µA and voltage in µV."""

    name: str
    probes: tuple[Probe, ...]

    def watts(self, values: Sequence[int | None]) -> float | None:
        known = [abs(value) for value in values if value is not None]
        if len(known) != len(self.probes):
            return None
        return known[0] * 1e-6 if len(known) == 1 else known[0] * known[1] * 1e-12


def open_sensor(settings: PowerSensor, device: Device, *, root: str | None = None) -> Battery:
    """The battery that discharges. Raises DeviceError: none, or it is on a charger."""
    files = read_files(device, LIST, root or ROOT)
    for place in [
        posixpath.dirname(path)
        for path, kind in files.items()
        if path.endswith("/type") and kind == "Battery"
    ]:
        probes = [
            Probe(kind="power_part", name=name, path=f"{place}/{name}")
            for name in ("current_now", "voltage_now")
            if f"{place}/{name}" in files
        ]
        if f"{place}/power_now" in files:
            probes = [
                Probe(kind="power_w", name="power_now", path=f"{place}/power_now", scale=1e-6)
            ]
        if not probes or (len(probes) == 1 and probes[0].kind == "power_part"):
            continue
        if files.get(f"{place}/status") != "Discharging":
            raise DeviceError(
                f"{device.name}: its battery is charging, which hides the power of the device",
                hint="unplug it; use adb over Wi-Fi",
            )
        return Battery(name="battery", probes=tuple(probes))
    raise DeviceError(
        f"{device.name}: no battery reports its power",
        hint="set another power.sensor in the target, or none",
    )
