"""The parsers of device facts on captures, on garbage, and on this machine."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.devices.fact_parsing import (
    parse_facts,
    parse_firmware_temperature,
    parse_state,
    parse_throttled,
)
from edgekit.devices.fact_scripts import FACTS, STATE, Section, ask, script_of
from edgekit.devices.facts import BatteryState, Clock, Cooling, DeviceFacts, DeviceState
from edgekit.devices.local import LocalDevice
from edgekit.errors import ResultError
from edgekit.measure.probes import device_probes

CAPTURED = Path(__file__).parents[1] / "captured"
BOARDS = sorted(p.parent.name for p in CAPTURED.glob("*/facts.txt"))


def captured_facts(board: str) -> DeviceFacts:
    return parse_facts((CAPTURED / board / "facts.txt").read_bytes())


def captured_state(board: str) -> DeviceState:
    return parse_state((CAPTURED / board / "state.txt").read_bytes())


def test_every_capture_is_read() -> None:
    assert len(BOARDS) == 5
    for board in BOARDS:
        assert captured_facts(board).arch
        captured_state(board)


def test_facts_of_a_raspberry_pi() -> None:
    assert captured_facts("raspberry-pi-4") == DeviceFacts(
        machine="Raspberry Pi 4 Model B Rev 1.2",
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="Linux 6.6.51+rpt-rpi-v8",
        arch="aarch64",
        cpu="Cortex-A72",
        cpus=4,
        memory_bytes=3882492 * 1024,
        boot_id="0b8e5c1e-6f7f-4f0b-8f39-5a8c3e0f8a77",
    )


def test_state_of_a_raspberry_pi() -> None:
    state = captured_state("raspberry-pi-4-throttled")
    assert state.clocks == (
        Clock(
            policy="policy0",
            governor="ondemand",
            current_khz=1000000,
            min_khz=600000,
            max_khz=1800000,
        ),
    )
    assert state.temperatures_c == {"cpu-thermal 0": 81.303}
    assert state.cooling == (Cooling(name="cpufreq-cpu0", state=1, transitions=4),)
    assert state.throttled_flags == 0x20002
    assert state.affinity == "0-3"
    assert state.load_1min == 1.02
    assert state.thermal_status is None
    assert captured_state("raspberry-pi-4").throttled_flags == 0


def test_an_android_phone_with_three_kinds_of_cores() -> None:
    facts = captured_facts("android-phone")
    assert facts.machine == "Example Phone 6 (EX-6)"
    assert facts.system == "Android 14"
    assert facts.cpu == "4× Cortex-A55 + 2× Cortex-A78 + 2× Cortex-X1"
    state = captured_state("android-phone")
    assert state.temperatures_c == {"AP": 41.5, "BAT": 33.2, "VIRTUAL-SKIN": 36.25}
    assert state.battery == BatteryState(level_percent=57, temperature_c=33.2, powered=True)
    assert [clock.max_khz for clock in state.clocks] == [1803000, 2253000, 2802000]
    assert state.thermal_status == 1
    assert state.throttled_flags is None


def test_what_a_device_does_not_say_is_unknown() -> None:
    assert captured_facts("bare-container") == DeviceFacts(kernel="Linux 6.1.0", arch="armv7l")
    assert captured_state("bare-container") == DeviceState()


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("throttled=0x0", 0),
        ("throttled=0x50005\n", 0x50005),
        ("VCHI initialization failed", None),
        ("", None),
    ],
)
def test_throttled_flags(text: str, flags: int | None) -> None:
    assert parse_throttled(text) == flags


@pytest.mark.parametrize(
    ("text", "celsius"),
    [
        ("temp=48.3'C", 48.3),
        ("temp=-1.0'C\n", -1.0),
        ("VCHI initialization failed", None),
        ("temp=1e9'C", None),
    ],
)
def test_the_firmware_s_temperature_where_the_kernel_has_none(
    text: str, celsius: float | None
) -> None:
    expected = {} if celsius is None else {"firmware": celsius}
    assert parse_firmware_temperature(text) == expected
    assert parse_state(f"measure_temp:{text}\n".encode()).temperatures_c == expected
    zone = b"/sys/class/thermal/thermal_zone0/temp:50000\n"
    assert parse_state(zone + f"measure_temp:{text}\n".encode()).temperatures_c == {"zone 0": 50.0}


def zones(*readings: tuple[str, int]) -> DeviceState:
    """The state of a device with these thermal zones: type and content of `temp`."""
    lines = [
        f"/sys/class/thermal/thermal_zone{number}/{line}\n"
        for number, (kind, raw) in enumerate(readings)
        for line in (f"type:{kind}", f"temp:{raw}")
    ]
    return parse_state("".join(lines).encode())


@pytest.mark.parametrize(
    ("kind", "raw", "celsius", "whole"),
    [
        ("cpu-thermal", 48199, 48.199, False),
        ("cpu_thermal", 45, 45.0, True),
        ("cpu-thermal", 125000, 125.0, False),
        ("soc-thermal", 1000, 1.0, False),
        ("cpu-thermal", 0, None, False),
        ("cpu-thermal", -40000, None, False),
        ("cpu-thermal", -1, None, False),
        ("cpu-thermal", 128000, None, False),
        ("battery", 332, None, False),
        ("cpu-thermal", 2147483647, None, False),
        ("lmh-dcvs-00", 75000, None, False),
        ("pm8150b-ibat-lvl0", 1200, None, False),
        ("vbat-too-low0", 4012, None, False),
        ("pm8350b-bcl-lvl1", 20000, None, False),
        ("soc", 57, None, False),
    ],
)
def test_what_a_thermal_zone_reads(kind: str, raw: int, celsius: float | None, whole: bool) -> None:
    state = zones((kind, raw))
    name = f"{kind} 0"
    assert state.temperatures_c == ({} if celsius is None else {name: celsius})
    assert state.whole_degree_zones == ((name,) if whole else ())


def test_a_zone_in_whole_degrees_is_watched_in_them() -> None:
    probes = device_probes(zones(("cpu_thermal", 45), ("gpu-thermal", 45000)))
    assert [(probe.name, probe.scale) for probe in probes] == [
        ("cpu_thermal 0", 1.0),
        ("gpu-thermal 1", 1e-3),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "/proc/loadavg:much",
        "/proc/loadavg:nan 0 0",
        "/proc/loadavg:-1 0 0",
        "/proc/meminfo:MemAvailable: lots kB",
        "/proc/vmstat:oom_kill x",
        "/sys/class/thermal/thermal_zone0/temp:hot",
        "/sys/class/thermal/cooling_device0/cur_state:-2",
        "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq:1e6",
        "/proc/pressure/memory:some avg10=900.00 avg60=0.00",
        "thermalservice:Thermal Status: severe",
        "/proc/stat:cpu  1 2",
        "/proc/stat:cpu  1 2 -30 4",
        "/sys/devices/system/cpu/cpufreq/policy0/stats/time_in_state:600000",
        "/proc/pressure/cpu:some avg10=-1 avg60=0.00",
    ],
)
def test_garbage_is_refused(line: str) -> None:
    with pytest.raises(ResultError, match="not understood"):
        parse_state(line.encode() + b"\n")


def test_cores_without_a_maker_are_refused() -> None:
    with pytest.raises(ResultError):
        parse_facts(b"/proc/cpuinfo:CPU part\t: 0xd08\n")
    assert (
        parse_facts(b"/proc/cpuinfo:CPU implementer : 0x61\n/proc/cpuinfo:CPU part : 0x022\n").cpu
        == "ARM 0x61:0x022"
    )


def test_names_are_inert() -> None:
    facts = parse_facts(
        b"/proc/device-tree/model:Board\x1b[2J\x07 [red]x[/]\n"
        + b"uname:Linux 6 "
        + b"a" * 10_000
        + b"\n"
    )
    assert facts.machine == "Board\ufffd[2J\ufffd [red]x[/]"
    assert facts.arch is not None
    assert len(facts.arch) == 120


def test_a_greeting_of_the_login_shell_is_dropped() -> None:
    assert (
        parse_state(
            b"Welcome to the board!\nlast login: today\n/proc/loadavg:0.50 0 0 1/1 1\n"
        ).load_1min
        == 0.5
    )


def test_what_processors_and_clocks_did() -> None:
    policy = "/sys/devices/system/cpu/cpufreq/policy0"
    state = parse_state(
        "/proc/stat:cpu  100 20 30 4000 50 6 7 8 9 0\n/proc/pressure/cpu:some avg10=2.50"
        f" avg60=0.00\n{policy}/scaling_cur_freq:600000\n{policy}/stats/time_in_state:600000"
        f" 1234\n{policy}/stats/time_in_state:1800000 5\n".encode()
    )
    assert state.cpu_time
    assert (state.cpu_time.busy_s, state.cpu_time.idle_s, state.cpu_time.stolen_s) == pytest.approx(
        (1.63, 40.5, 0.08)
    )
    assert state.cpu_pressure_percent == 2.5
    assert state.clocks[0].time_in_state_ms == {600000: 12340, 1800000: 50}


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_any_bytes(noise: bytes) -> None:
    for source in (b"", b"/proc/loadavg:", b"/proc/cpuinfo:", b"/sys/class/thermal/thermal_zone0/"):
        for parse in (parse_facts, parse_state):
            with contextlib.suppress(ResultError):
                assert "\x1b" not in str(parse(source + noise))


def test_this_machine_is_understood() -> None:
    def printed(script: str) -> bytes:
        done = subprocess.run(["sh", "-c", script], capture_output=True, timeout=30, check=True)
        assert done.stderr == b""
        return done.stdout

    facts = parse_facts(printed(script_of([FACTS])))
    assert facts.kernel is not None
    assert facts.kernel.startswith("Linux")
    assert facts.cpus
    assert facts.memory_bytes
    both = printed(script_of([STATE, FACTS]))
    assert parse_facts(both) == facts
    state = parse_state(both)
    assert state.boot_id == facts.boot_id
    assert state.load_1min is not None
    assert state.available_bytes
    assert state.affinity
    assert state.cpu_time


def test_sections_have_their_own_arguments_and_end_alone() -> None:
    answer = ask(
        LocalDevice(),
        Section('echo "a:$1 $# $two"; two=set; exit 3', ("1", "2 3")),
        Section('echo "b:$# $two"'),
        Section('echo "c:$1 $#"', ("x y",)),
    )
    assert answer.decode().splitlines() == ["a:1 3 ", "b:1 ", "c:x y 1"]


@pytest.mark.parametrize(
    "lines",
    [
        "thermalservice:Thermal Status: very",
        "thermalservice:Thermal Status: 99",
        "battery:  level: 300",
        "battery:  level: x",
        "battery:  level: 5\nbattery:  scale: 0x",
        "battery:  level: 105\nbattery:  scale: 0",
        "battery:  level: 5\nbattery:  temperature: 99999",
    ],
)
def test_what_android_says_is_read_strictly(lines: str) -> None:
    with pytest.raises(ResultError):
        parse_state(lines.encode())


def test_android_services_that_are_not_there() -> None:
    state = parse_state(
        b"thermalservice:Can't find service: thermalservice\nbattery:  present: false\nbattery: "
        b" level: 0\n"
    )
    assert (state.thermal_status, state.temperatures_c, state.battery) == (None, {}, None)
