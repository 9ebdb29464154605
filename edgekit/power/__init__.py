"""Power sensors: how a board's power is read. Owns the two protocols and the table of sensors; what
an inference costs is computed in edgekit/measure.

A sensor is either a few small files on the device, which the runner reads between inferences as it
reads temperatures (`DeviceSensor`), or it sends numbers to this host (`HostSensor`). A kind of
sensor is one module with `open_sensor(settings, device)` and one line in `SENSORS`.

A sensor on the supply sees the whole board. The gauge of a battery is slow (seconds) and coarse:
only runs of many seconds mean anything there."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

from edgekit.devices import Device
from edgekit.devices.probe import Probe
from edgekit.devices.target_sections import PowerSensor
from edgekit.errors import DeviceError

SENSORS = {
    "hwmon": "edgekit.power.hwmon:open_sensor",
    "battery": "edgekit.power.battery:open_sensor",
    "serial": "edgekit.power.serial_meter:open_sensor",
}
"""What `power.sensor` in a target may be: name to `module:function`."""

Trace = Sequence[tuple[float, float]]
"""Power over time: (seconds of one clock, watts), in the order of time."""


class DeviceSensor(Protocol):
    """Files on the device. `probes` are read together; `watts` turns their numbers into power, None
    where one is missing."""

    @property
    def name(self) -> str: ...

    @property
    def probes(self) -> tuple[Probe, ...]: ...

    def watts(self, values: Sequence[int | None]) -> float | None: ...


@runtime_checkable
class HostSensor(Protocol):
    """A meter at this host. `trace` is what it measured since it was opened, in seconds of
    time.monotonic()."""

    @property
    def name(self) -> str: ...

    def trace(self) -> Trace: ...

    def close(self) -> None: ...


Sensor = DeviceSensor | HostSensor


def open_sensor(settings: PowerSensor, device: Device) -> Sensor:
    """The sensor a target names. Raises DeviceError: it is not there, or its output is not
    understood."""
    module, _, function = SENSORS[settings.sensor].partition(":")
    return cast(Sensor, getattr(importlib.import_module(module), function)(settings, device))


def read_files(device: Device, script: str, *arguments: str) -> dict[str, str]:
    """First lines of files as a script prints them, `path:line`. Raises DeviceError,
    TransportError."""
    done = device.run(
        ["sh", "-c", script, "power", *arguments],
        timeout_s=30,
        max_stdout_bytes=1 << 16,
        max_stderr_bytes=4096,
    )
    if not done.ok:
        raise DeviceError(
            f"{device.name}: its power sensors cannot be listed",
            hint="see /sys/class/hwmon and /sys/class/power_supply on it",
        )
    values: dict[str, str] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        path, colon, value = line.partition(":")
        if colon:
            values.setdefault(path, value.strip())
    return values
