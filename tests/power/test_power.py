"""Energy from synthetic traces, and the three kinds of sensor: on copies of sysfs, and on a real
pseudo-terminal. No number here was measured."""

from __future__ import annotations

import os
import pty
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.devices.local import LocalDevice
from edgekit.devices.target import LocalTarget
from edgekit.devices.target_files import read_target
from edgekit.devices.target_sections import PowerSensor
from edgekit.errors import DeviceError, UsageError
from edgekit.measure import energy as energy_pass
from edgekit.measure import extra_runs
from edgekit.measure.energy import Meter, measure_energy, meter
from edgekit.measure.extra_results import Energy
from edgekit.measure.inference_energy import Stretch, energy, joules, stretch, trace_of
from edgekit.measure.protocol_lines import WindowValues
from edgekit.measure.session import Extras
from edgekit.measure.settings import Settings
from edgekit.power import HostSensor, battery, hwmon, open_sensor
from edgekit.power.serial_meter import open_port, watts_of
from tests.support.measured import bench
from tests.support.sessions import place, with_program

DEVICE = LocalDevice("board")
MILLISECONDS = st.integers(0, 100_000).map(lambda ms: ms / 1000)
"""Closer than a clock tells them apart, the slope between two points is no number."""
HWMON, BATTERY = PowerSensor(sensor="hwmon"), PowerSensor(sensor="battery")


@given(
    st.floats(0, 100),
    st.floats(0, 1000),
    st.floats(0, 100),
    st.lists(MILLISECONDS, min_size=1, max_size=20, unique=True),
)
def test_constant_power_times_time(
    watts: float, start_s: float, seconds: float, times: list[float]
) -> None:
    trace = [(at_s, watts) for at_s in sorted(times)]
    assert joules(trace, start_s, start_s + seconds) == pytest.approx(
        watts * seconds, rel=1e-9, abs=1e-9
    )


@given(
    st.lists(
        st.tuples(MILLISECONDS, st.floats(0, 50)),
        min_size=2,
        max_size=20,
        unique_by=lambda point: point[0],
    ),
    st.floats(0, 1),
)
def test_stretches_add_up(points: list[tuple[float, float]], share: float) -> None:
    trace = sorted(points)
    start_s, stop_s = trace[0][0], trace[-1][0]
    middle_s = start_s + share * (stop_s - start_s)
    parts = joules(trace, start_s, middle_s) + joules(trace, middle_s, stop_s)
    assert parts == pytest.approx(joules(trace, start_s, stop_s), rel=1e-6, abs=1e-6)


def test_a_ramp() -> None:
    assert joules([(0, 0), (10, 10)], 0, 10) == pytest.approx(50)
    assert joules([(0, 0), (10, 10)], 4, 6) == pytest.approx(10)
    with pytest.raises(ValueError, match="nothing to integrate"):
        joules([], 0, 1)


def test_energy_of_an_inference() -> None:
    running = [(100 + i / 5, 5.0) for i in range(51)]
    idle = [(float(i), 2.0) for i in range(25)]
    with_idle = energy("synthetic", running, idle, Stretch(100, 110, 1000))
    assert (
        with_idle.joules,
        with_idle.gross_joules,
        with_idle.idle_watts,
        with_idle.inferences,
    ) == (
        pytest.approx(0.03),
        pytest.approx(0.05),
        2.0,
        1000,
    )
    without = energy("synthetic", running, idle[:2], Stretch(100, 110, 1000))
    assert (without.joules, without.gross_joules) == (None, pytest.approx(0.05))
    assert "idle power is not known" in without.unavailable
    assert (
        "gave 3 readings"
        in energy("synthetic", running[:3], idle, Stretch(100, 110, 1000)).unavailable
    )
    assert "too short" in energy("synthetic", running, idle, None).unavailable


def test_windows_of_a_run() -> None:
    windows = [
        WindowValues(
            at_ns=i * 10**9, iterations=10 * i, values=(77, 1_000_000 * i, None if i == 2 else 1)
        )
        for i in range(4)
    ]
    assert stretch(windows) == Stretch(0.0, 3.0, 30)
    assert stretch(windows[:1]) is None
    assert stretch([windows[0], windows[1].model_copy(update={"iterations": 0})]) is None


def chip(root: Path, number: int, name: str, **files: int) -> None:
    place = root / f"hwmon{number}"
    place.mkdir(parents=True)
    (place / "name").write_text(f"{name}\n")
    for file, value in files.items():
        (place / file).write_text(f"{value}\n")


def test_hwmon(tmp_path: Path) -> None:
    chip(tmp_path, 0, "cpu_thermal", temp1_input=48000)
    chip(tmp_path, 1, "ina226", power1_input=3_250_000, curr1_input=650, in1_input=5000)
    sensor = hwmon.open_sensor(HWMON, DEVICE, root=str(tmp_path))
    assert [probe.path for probe in sensor.probes] == [f"{tmp_path}/hwmon1/power1_input"]
    assert sensor.watts([3_250_000]) == pytest.approx(3.25)
    assert sensor.watts([None]) is None
    windows = [
        WindowValues(at_ns=10**9, iterations=1, values=(9, 3_250_000)),
        WindowValues(at_ns=2 * 10**9, iterations=1, values=(9, None)),
    ]
    assert trace_of(sensor, windows, 1) == [(1.0, pytest.approx(3.25))]
    chip(tmp_path, 2, "ina219", curr1_input=650, in1_input=5000)
    with pytest.raises(DeviceError, match="several power sensors") as raised:
        hwmon.open_sensor(HWMON, DEVICE, root=str(tmp_path))
    assert "cpu_thermal, ina219, ina226" in raised.value.hint
    parts = hwmon.open_sensor(
        HWMON.model_copy(update={"chip": "ina219"}), DEVICE, root=str(tmp_path)
    )
    assert parts.watts([650, 5000]) == pytest.approx(3.25)
    with pytest.raises(DeviceError, match="no power sensor with channel 3"):
        hwmon.open_sensor(HWMON.model_copy(update={"channel": 3}), DEVICE, root=str(tmp_path))


def supply(root: Path, name: str, **files: object) -> None:
    (root / name).mkdir(parents=True)
    for file, value in files.items():
        (root / name / file).write_text(f"{value}\n")


def test_battery(tmp_path: Path) -> None:
    supply(tmp_path, "usb", type="USB", current_now=1)
    with pytest.raises(DeviceError, match="no battery reports its power"):
        battery.open_sensor(BATTERY, DEVICE, root=str(tmp_path))
    supply(
        tmp_path,
        "battery",
        type="Battery",
        status="Discharging",
        current_now=-500_000,
        voltage_now=3_800_000,
    )
    sensor = battery.open_sensor(BATTERY, DEVICE, root=str(tmp_path))
    assert sensor.watts([-500_000, 3_800_000]) == pytest.approx(1.9)
    (tmp_path / "battery" / "status").write_text("Charging\n")
    with pytest.raises(DeviceError, match="is charging"):
        battery.open_sensor(BATTERY, DEVICE, root=str(tmp_path))


VOLTS_AMPERES = re.compile(r"(?P<volts>[0-9.]+)V (?P<amperes>[0-9.]+)A")


@pytest.mark.parametrize(
    ("line", "watts"),
    [
        ("t=1 5.02V 0.50A", 2.51),
        ("5.0.2V 1A", None),
        ("", None),
        ("hello", None),
        ("9" * 400 + "V 1A", None),
    ],
)
def test_lines_of_a_meter(line: str, watts: float | None) -> None:
    parsed_watts = watts_of(line, VOLTS_AMPERES)
    assert parsed_watts is None if watts is None else parsed_watts == pytest.approx(watts)
    assert watts_of("power -3 W", re.compile(r"(?P<watts>-?[0-9.]+) W")) is None


def test_a_meter_on_a_real_terminal() -> None:
    ours, theirs = pty.openpty()
    settings = PowerSensor(sensor="serial", port=os.ttyname(theirs), pattern=VOLTS_AMPERES.pattern)
    sensor = open_sensor(settings, DEVICE)
    assert isinstance(sensor, HostSensor)
    began = time.monotonic()
    for line in (b"5.0V 0.5A\n", b"garbage\xff\n", b"5.0V ", b"1.0A\n"):
        os.write(ours, line)
        time.sleep(0.05)
    assert wait_until(lambda: len(sensor.trace()) == 2)
    assert [watts for _, watts in sensor.trace()] == [2.5, 5.0]
    assert began <= sensor.trace()[0][0] <= time.monotonic()
    sensor.close()
    assert not any(thread.name == "power meter" for thread in threading.enumerate())
    os.close(ours)
    os.close(theirs)


def wait_until(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


def test_what_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="is not a serial port"):
        open_port(str(tmp_path / "file"), 9600)
    with pytest.raises(DeviceError, match="cannot be opened: No such file"):
        open_port(str(tmp_path / "missing"), 9600)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{sensor: serial, port: /dev/ttyUSB0}", "needs `port` and `pattern`"),
        ("{sensor: serial, port: /dev/ttyUSB0, pattern: '('}", "not a regular expression"),
        ("{sensor: serial, port: /dev/ttyUSB0, pattern: '(?P<volts>x)'}", "a group called `watts`"),
    ],
)
def test_a_serial_meter_is_described(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(f"edgekit: 1\nname: t\nkind: local\npower: {text}\n")
    with pytest.raises(UsageError, match=re.escape(words)):
        read_target(path)


def test_energy_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 W while idle and 5 W while running, in files as the kernel's; 100 inferences in each window
    of 0.2 s: 6 mJ each beyond idle."""
    monkeypatch.setattr(energy_pass, "IDLE_READINGS", 5)
    monkeypatch.setattr(hwmon, "ROOT", str(tmp_path / "hwmon"))
    chip(tmp_path / "hwmon", 0, "ina226", power1_input=2_000_000)
    bundle, target = with_program(tmp_path)
    power = tmp_path / "hwmon" / "hwmon0" / "power1_input"
    program = Path(str(target.runners.executorch.program))
    program.write_text(
        program.read_text().replace(
            "exec", f'case "$*" in *sustain*) echo 5000000 >{power} ;; esac\nexec'
        )
    )
    target = target.model_copy(update={"power": HWMON.model_copy(update={"seconds": 2.0})})
    measured_energy = (
        bench(
            bundle, target, runs=1, warmup_min_seconds=0, min_seconds=0, extras=Extras(energy=True)
        )
        .artifacts[0]
        .energy
    )
    assert measured_energy
    assert (measured_energy.sensor, measured_energy.inferences, measured_energy.idle_watts) == (
        "hwmon ina226 channel 1",
        1000,
        pytest.approx(2.0),
    )
    assert (measured_energy.joules, measured_energy.gross_joules) == (
        pytest.approx(0.006),
        pytest.approx(0.01),
    )


def test_no_sensor_is_a_result(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path)
    measured_energy = (
        bench(
            bundle, target, runs=1, warmup_min_seconds=0, min_seconds=0, extras=Extras(energy=True)
        )
        .artifacts[0]
        .energy
    )
    assert measured_energy == Energy(unavailable="target desk names no power sensor")
    nowhere = LocalTarget(
        edgekit=1,
        name="desk",
        kind="local",
        power=PowerSensor(sensor="serial", port="/dev/none", pattern="(?P<watts>1)"),
    )
    with meter(nowhere, DEVICE) as opened:
        assert "cannot be opened" in opened.unavailable


def test_a_meter_of_this_host_is_brought_to_the_runners_clock(tmp_path: Path) -> None:
    """The fake runner says hello at 1 s of its clock; its ten windows end two seconds later."""

    class Steady:
        name = "steady"

        def trace(self) -> list[tuple[float, float]]:
            now = time.monotonic()
            return [(now - 1 + i / 10, 3.0) for i in range(60)]

        def close(self) -> None:
            pass

    bundle, target = with_program(tmp_path)
    target = target.model_copy(update={"power": PowerSensor(sensor="hwmon", seconds=2.0)})
    settings = Settings(
        runs=1, warmup_min_seconds=0, min_iterations=1, min_seconds=0, max_seconds=1, threads=1
    )
    where = extra_runs.Bench(target, DEVICE, settings, (), lambda: None)
    [placed] = place(bundle, tmp_path)
    measured_energy = measure_energy(
        where, placed, Meter(Steady(), idle=[(float(i), 1.0) for i in range(9)])
    )
    assert (measured_energy.joules, measured_energy.idle_watts) == (
        pytest.approx(2 * 2.0 / 1000),
        1.0,
    )
