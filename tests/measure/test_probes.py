"""Which files a runner reads, and what the numbers in them mean."""

from __future__ import annotations

from edgekit.devices.fact_parsing import parse_state
from edgekit.devices.facts import Clock, DeviceState
from edgekit.measure.probes import device_probes, extremes, series
from edgekit.measure.protocol_lines import PROBES, WindowValues
from tests.support.measured import CAPTURED


def test_a_board_has_clocks_and_zones() -> None:
    probes = device_probes(parse_state((CAPTURED / "raspberry-pi-4" / "state.txt").read_bytes()))
    assert [probe.path for probe in probes] == [
        "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
        "/sys/class/thermal/thermal_zone0/temp",
    ]


def test_names_that_no_kernel_gives_become_no_path() -> None:
    clocks = (
        Clock(policy="policy0:/etc/shadow", current_khz=1),
        Clock(policy="../..", current_khz=1),
        Clock(policy="policy1"),
    )
    assert (
        device_probes(DeviceState(clocks=clocks, temperatures_c={"zone ../x": 1.0, "cpu": 2.0}))
        == ()
    )
    many = DeviceState(
        clocks=tuple(Clock(policy=f"policy{i}", current_khz=1) for i in range(99)),
        temperatures_c={f"z {i}": 1.0 for i in range(99)},
    )
    assert len(device_probes(many)) <= PROBES


def test_values_over_time() -> None:
    probes = device_probes(
        DeviceState(clocks=(Clock(policy="policy0", current_khz=1),), temperatures_c={"cpu 0": 1.0})
    )
    windows = [
        WindowValues(at_ns=i, iterations=i, values=values)
        for i, values in enumerate([(1_500_000, 45_000), (None, 47_500), (600_000,)])
    ]
    assert series(probes, windows, "frequency_khz") == {"policy0": [1_500_000, None, 600_000]}
    assert series(probes, windows, "temperature_c") == {"cpu 0": [45.0, 47.5, None]}
    assert extremes(probes, windows, "frequency_khz") == {"policy0": (600_000, 1_500_000)}
    assert extremes(probes, windows, "power_w") == {}
