"""What a runner reads between two inferences: clock frequencies and temperatures, one small file
each, so that watching costs no process of its own.

Owns which files there are to read on a device, and what the numbers in them mean. How often is the
session's business."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgekit.devices.facts import CPUFREQ, DeviceState
from edgekit.devices.probe import Kind, Probe
from edgekit.measure.protocol_lines import PROBES, WindowValues

MOST_OF_A_KIND = 12


def device_probes(state: DeviceState) -> tuple[Probe, ...]:
    """The clocks and thermal zones that a device showed. None on a machine that has neither, such
    as most virtual ones."""
    clocks = [
        clock.policy
        for clock in state.clocks
        if clock.current_khz is not None and re.fullmatch(r"policy[0-9]{1,4}", clock.policy)
    ]
    zones = [
        name
        for name in state.temperatures_c
        if re.fullmatch(r"[0-9]{1,4}", name.rpartition(" ")[2])
    ]
    frequencies = [
        Probe(kind="frequency_khz", name=policy, path=f"{CPUFREQ}{policy}/scaling_cur_freq")
        for policy in clocks
    ]
    temperatures = [
        Probe(
            kind="temperature_c",
            name=zone,
            path=f"/sys/class/thermal/thermal_zone{zone.rpartition(' ')[2]}/temp",
            scale=1.0 if zone in state.whole_degree_zones else 1e-3,
        )
        for zone in zones
    ]
    return (*frequencies[:MOST_OF_A_KIND], *temperatures[:MOST_OF_A_KIND])[:PROBES]


def series(
    probes: Sequence[Probe], windows: Sequence[WindowValues], kind: Kind
) -> dict[str, list[float | None]]:
    """What the probes of a kind read at the end of each window, by name; None where a file could
    not be read."""
    return {
        probe.name: [
            (
                None
                if at >= len(window.values) or (value := window.values[at]) is None
                else value * probe.scale
            )
            for window in windows
        ]
        for at, probe in enumerate(probes)
        if probe.kind == kind
    }


def extremes(
    probes: Sequence[Probe], windows: Sequence[WindowValues], kind: Kind
) -> dict[str, tuple[float, float]]:
    """The least and the most each probe of a kind read; those that never could be read are left
    out."""
    known = {
        name: [value for value in values if value is not None]
        for name, values in series(probes, windows, kind).items()
    }
    return {name: (min(values), max(values)) for name, values in known.items() if values}
