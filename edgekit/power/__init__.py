"""Power sensors: how a board's power is read, and the energy of one inference from that. Owns the
protocol, the table and the integral.

A sensor either is a few small files on the device, which the runner reads between inferences as it
reads temperatures (`DeviceSensor`), or sends numbers to this host (`HostSensor`), whose clock is
brought to the runner's by the moment the runner said hello. A kind of sensor is one module with
`open_sensor(settings, device)` and one line in `SENSORS`.

Energy of an inference = (∫ power dt − idle power · time) / inferences, over the windows of the
steady phase, by trapezoids. Idle power is what the device took before, while nothing ran. A sensor
on the supply sees the whole board; a battery's gauge is slow (seconds) and coarse, so that only
runs of many seconds mean anything there."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import numpy as np

from edgekit.devices import Device
from edgekit.devices.target import PowerSensor
from edgekit.errors import DeviceError
from edgekit.measure.extra_results import Energy
from edgekit.measure.probes import Probe
from edgekit.measure.protocol_lines import WindowValues

SENSORS = {
    "hwmon": "edgekit.power.hwmon:open_sensor",
    "battery": "edgekit.power.battery:open_sensor",
    "serial": "edgekit.power.serial_meter:open_sensor",
}
"""What `power.sensor` in a target may be, to `module:function`."""

Trace = Sequence[tuple[float, float]]
"""Power over time: (seconds of one clock, watts), in the order of time."""
FEWEST_POINTS = 5


class DeviceSensor(Protocol):
    """Files on the device. `probes` are read together; `watts` makes power of what they said, None
    where it cannot."""

    name: str
    probes: tuple[Probe, ...]

    def watts(self, values: Sequence[int | None]) -> float | None: ...


@runtime_checkable
class HostSensor(Protocol):
    """Something that tells this host. `trace` is what it said since it was opened, in seconds of
    time.monotonic()."""

    name: str

    def trace(self) -> Trace: ...

    def close(self) -> None: ...


Sensor = DeviceSensor | HostSensor


def open_sensor(settings: PowerSensor, device: Device) -> Sensor:
    """The sensor a target names. Raises DeviceError: it is not there, or does not say what it
    should."""
    module, _, function = SENSORS[settings.sensor].partition(":")
    return cast(Sensor, getattr(importlib.import_module(module), function)(settings, device))


@dataclass(frozen=True)
class Stretch:
    """A stretch of inferences by the runner's clock, in seconds: from, to, and how many between."""

    start_s: float
    stop_s: float
    inferences: int


def stretch(windows: Sequence[WindowValues]) -> Stretch | None:
    """From the first window's end to the last's; None without two of them or without an inference
    between."""
    if len(windows) < 2 or windows[-1].iterations <= windows[0].iterations:
        return None
    return Stretch(
        windows[0].at_ns / 1e9,
        windows[-1].at_ns / 1e9,
        windows[-1].iterations - windows[0].iterations,
    )


def trace_of(sensor: DeviceSensor, windows: Sequence[WindowValues], first: int) -> Trace:
    """Power at the end of each window; the sensor's probes are those from number `first` on.
    Windows where it could not be read are left out."""
    last = first + len(sensor.probes)
    read = [
        (window.at_ns / 1e9, sensor.watts(window.values[first:last]))
        for window in windows
        if len(window.values) >= last
    ]
    return [(at_s, watts) for at_s, watts in read if watts is not None]


def joules(trace: Trace, start_s: float, stop_s: float) -> float:
    """∫ power dt from start to stop by trapezoids, linear between points and constant before the
    first and after the last.

    Raises ValueError for an empty trace or a stop before the start.
    """
    if not trace or stop_s < start_s:
        raise ValueError("nothing to integrate")
    times, watts = (np.array(values, dtype=float) for values in zip(*trace, strict=True))
    inside = (times > start_s) & (times < stop_s)
    grid = np.concatenate([[start_s], times[inside], [stop_s]])
    return float(np.trapezoid(np.interp(grid, times, watts), grid))


def energy(name: str, trace: Trace, idle: Trace, runs: Stretch | None) -> Energy:
    """Energy of one inference. Too few points, or no stretch of inferences, make it unavailable; an
    unknown idle power leaves the gross figure."""
    if runs is None:
        return Energy(sensor=name, unavailable="the run is too short for the sensor")
    points = [point for point in trace if runs.start_s <= point[0] <= runs.stop_s]
    if len(points) < FEWEST_POINTS:
        return Energy(
            sensor=name,
            unavailable=(
                f"the sensor gave {len(points)} readings during the run, at least {FEWEST_POINTS}"
                " are needed"
            ),
        )
    whole = joules(trace, runs.start_s, runs.stop_s)
    idle_watts = (
        float(np.median([watts for _, watts in idle])) if len(idle) >= FEWEST_POINTS else None
    )
    own = (
        None
        if idle_watts is None
        else (whole - idle_watts * (runs.stop_s - runs.start_s)) / runs.inferences
    )
    return Energy(
        sensor=name,
        joules=own,
        gross_joules=whole / runs.inferences,
        idle_watts=idle_watts,
        inferences=runs.inferences,
        unavailable=(
            ""
            if idle_watts is not None
            else "the idle power is not known, so that only the whole board's energy is given"
        ),
    )


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
    found: dict[str, str] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        path, colon, value = line.partition(":")
        if colon:
            found.setdefault(path, value.strip())
    return found
