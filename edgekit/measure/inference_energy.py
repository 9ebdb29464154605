"""The energy of one inference, from power over time. Pure: reads no sensor.

Energy = (∫ power dt − idle power · time) / inferences, over the windows of the steady phase, by
trapezoids. Idle power is what the device took before, while nothing ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.measure.extra_results import Energy
from edgekit.measure.protocol_lines import WindowValues
from edgekit.power import DeviceSensor, Trace

FEWEST_POINTS = 5


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
    points = [
        (window.at_ns / 1e9, sensor.watts(window.values[first:last]))
        for window in windows
        if len(window.values) >= last
    ]
    return [(at_s, watts) for at_s, watts in points if watts is not None]


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
    idle_watts = None
    if len(idle) >= FEWEST_POINTS:
        idle_watts = float(np.median([watts for _, watts in idle]))
    gross = Energy(
        sensor=name,
        gross_joules=whole / runs.inferences,
        inferences=runs.inferences,
        unavailable="the idle power is not known: this is the energy of the whole board",
    )
    if idle_watts is None:
        return gross
    idle_joules = idle_watts * (runs.stop_s - runs.start_s)
    update = {
        "joules": (whole - idle_joules) / runs.inferences,
        "idle_watts": idle_watts,
        "unavailable": "",
    }
    return gross.model_copy(update=update)
