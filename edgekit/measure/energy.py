"""The energy pass: idle power first, then each artifact for a while with its sensor read. That
there is no sensor is a result and no error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edgekit.devices import Device
from edgekit.devices.target import Target
from edgekit.errors import DeviceError
from edgekit.measure.extra_results import Energy
from edgekit.measure.extra_runs import Bench
from edgekit.measure.inference_energy import energy, stretch, trace_of
from edgekit.measure.runner_process import Placed
from edgekit.power import DeviceSensor, HostSensor, Sensor, Trace, open_sensor
from edgekit.sanitize import printable

EVERY_S = 0.2
IDLE_READINGS = 25
IDLE_S = EVERY_S * IDLE_READINGS
IDLE_SCRIPT = r"""
count=$1; pause=$2; shift 2
while [ "$count" -gt 0 ]; do
  line=
  for file; do value=none; read -r value <"$file"; line="$line ${value:-none}"; done 2>/dev/null
  echo "$line"; count=$((count - 1)); sleep "$pause"
done
"""


@dataclass(frozen=True)
class Meter:
    """An open sensor with the idle device's power, or why there is none."""

    sensor: Sensor | None
    idle: Trace = ()
    unavailable: str = ""


@contextmanager
def meter(target: Target, device: Device) -> Iterator[Meter]:
    """The target's sensor for as long as the block runs, after the idle power was read."""
    if target.power is None:
        yield Meter(None, unavailable=f"target {target.name} names no power sensor")
        return
    try:
        sensor = open_sensor(target.power, device)
    except DeviceError as error:
        yield Meter(None, unavailable=printable(error.message))
        return
    try:
        yield Meter(sensor, idle=_idle(sensor, device))
    finally:
        if isinstance(sensor, HostSensor):
            sensor.close()


def measure_energy(bench: Bench, placed: Placed, open_meter: Meter) -> Energy:
    """Energy of one inference of an artifact. Raises what `Bench.run` raises."""
    sensor = open_meter.sensor
    if sensor is None or bench.target.power is None:
        return Energy(unavailable=open_meter.unavailable)
    seconds = bench.target.power.seconds
    settings = bench.settings.model_copy(
        update={"min_seconds": seconds, "max_seconds": seconds, "min_iterations": 1}
    )
    watched = replace(bench, probes=() if isinstance(sensor, HostSensor) else sensor.probes)
    made = watched.run(placed, "sustain", settings, "energy", seconds=seconds, every_s=EVERY_S)
    windows = made.run.windows
    if not isinstance(sensor, HostSensor):
        return energy(sensor.name, trace_of(sensor, windows, 0), open_meter.idle, stretch(windows))
    started_ns = made.run.hello.at_ns if made.run.hello else None
    if started_ns is None or made.heard_s is None:
        return Energy(sensor=sensor.name, unavailable="the runner does not tell its clock")
    ahead_s = made.heard_s - started_ns / 1e9
    return energy(
        sensor.name,
        [(at_s - ahead_s, watts) for at_s, watts in sensor.trace()],
        open_meter.idle,
        stretch(windows),
    )


def _idle(sensor: Sensor, device: Device) -> Trace:
    """Power while nothing runs that this session started."""
    if isinstance(sensor, HostSensor):
        device.cancel.sleep(IDLE_S)
        return sensor.trace()
    return _idle_of_files(sensor, device)


def _idle_of_files(sensor: DeviceSensor, device: Device) -> Trace:
    """Power at IDLE_READINGS moments; those that could not be read are left out. Raises
    TransportError."""
    paths = [probe.path for probe in sensor.probes]
    argv = ["sh", "-c", IDLE_SCRIPT, "idle", str(IDLE_READINGS), str(EVERY_S), *paths]
    done = device.run(argv, timeout_s=60 + IDLE_S, max_stdout_bytes=1 << 16, max_stderr_bytes=4096)
    trace = []
    for at, line in enumerate(done.stdout.decode("ascii", "replace").splitlines()[:IDLE_READINGS]):
        values = [
            int(word) if re.fullmatch(r"-?[0-9]{1,18}", word) else None for word in line.split()
        ]
        watts = sensor.watts(values) if len(values) == len(paths) else None
        if watts is not None:
            trace.append((at * EVERY_S, watts))
    return trace
