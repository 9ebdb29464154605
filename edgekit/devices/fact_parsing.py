"""Reading what a device answers about itself: pure parsers, a source each. The scripts that ask are
in fact_scripts.py.

Answers are untrusted: text is made printable, and a source that does not look as the kernel writes
it is a ResultError."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from edgekit.devices.facts import (
    CPUFREQ,
    USER_HZ,
    BatteryState,
    Clock,
    Cooling,
    CpuTime,
    DeviceFacts,
    DeviceState,
)
from edgekit.devices.thermal import zone_reading
from edgekit.errors import ResultError
from edgekit.sanitize import printable

ARM_CORES = {
    0x41D03: "Cortex-A53",
    0x41D04: "Cortex-A35",
    0x41D05: "Cortex-A55",
    0x41C07: "Cortex-A7",
    0x41C09: "Cortex-A9",
    0x41C0F: "Cortex-A15",
    0x41D07: "Cortex-A57",
    0x41D08: "Cortex-A72",
    0x41D09: "Cortex-A73",
    0x41D0A: "Cortex-A75",
    0x41D0B: "Cortex-A76",
    0x41D0C: "Neoverse-N1",
    0x41D0D: "Cortex-A77",
    0x41D41: "Cortex-A78",
    0x41D44: "Cortex-X1",
    0x41D46: "Cortex-A510",
    0x41D47: "Cortex-A710",
    0x41D48: "Cortex-X2",
    0x41D4D: "Cortex-A715",
    0x41D4E: "Cortex-X3",
    0x41D40: "Neoverse-V1",
    0x41D49: "Neoverse-N2",
    0x41D80: "Cortex-A520",
    0x41D81: "Cortex-A720",
}
"""Implementer and part number of /proc/cpuinfo (MIDR_EL1), as in Arm's technical reference
manuals."""

NOT_TEMPERATURES = (-1, 6, 7, 8)
"""Types of android.hardware.thermal's TemperatureType: unknown, and voltage, current and charge of
the battery."""

Sources = Mapping[str, tuple[str, ...]]
"""The lines of each source."""
Parsed = TypeVar("Parsed")


def parse_sources(capture: bytes) -> dict[str, tuple[str, ...]]:
    """The lines of each source, in order. Lines without a source are dropped: a login shell may
    print a greeting."""
    sources: dict[str, list[str]] = {}
    for line in capture.decode("utf-8", "replace").replace("\0", "").splitlines():
        source, colon, content = line.partition(":")
        if colon and re.fullmatch(r"[A-Za-z0-9/._-]{1,200}", source):
            sources.setdefault(source, []).append(content)
    return {source: tuple(lines) for source, lines in sources.items()}


def parse_facts(capture: bytes) -> DeviceFacts:
    """Read what the section FACTS printed. Raises ResultError: not understood."""
    return _understood(_facts, capture)


def parse_state(capture: bytes) -> DeviceState:
    """Read what the section STATE printed. Raises ResultError: not understood."""
    return _understood(_state, capture)


def parse_cpu(lines: tuple[str, ...]) -> tuple[str | None, int | None]:
    """Name and number of the cores in /proc/cpuinfo, e.g. ("4× Cortex-A55 + 4× Cortex-A76", 8)."""
    fields = [
        (key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)
    ]
    count = sum(1 for key, _ in fields if key == "processor")
    models = [value for key, value in fields if key == "model name" and value]
    parts = [value for key, value in fields if key == "CPU part"]
    makers = [value for key, value in fields if key == "CPU implementer"]
    cores = [_arm_core(maker, part) for maker, part in zip(makers, parts, strict=True)] or models
    kinds = {core: cores.count(core) for core in cores}
    name = (
        " + ".join(f"{n}× {core}" for core, n in kinds.items())
        if len(kinds) > 1
        else next(iter(kinds), None)
    )
    return (_text(name), count or None)


def parse_throttled(text: str) -> int | None:
    """The flags `vcgencmd get_throttled` prints; None when it could not ask the firmware."""
    match = re.fullmatch(r"\s*throttled=0x([0-9a-fA-F]{1,8})\s*", text)
    return int(match[1], 16) if match else None


def parse_firmware_temperature(text: str) -> dict[str, float]:
    """Degrees Celsius that `vcgencmd measure_temp` prints, of the whole chip; nothing when it could
    not ask the firmware."""
    match = re.fullmatch(r"\s*temp=(-?[0-9]{1,3}\.[0-9])'C\s*", text)
    return {"firmware": float(match[1])} if match else {}


def parse_thermalservice(lines: tuple[str, ...]) -> tuple[int | None, dict[str, float]]:
    """Android's thermal status, and degrees Celsius by sensor, from what `dumpsys thermalservice`
    prints (Android 10 and newer).

    What the HAL reads now is taken, not what was cached; voltages and currents are left out, and so
    are sensors that read exactly 0 (not fitted)."""
    status = _field(lines, "Thermal Status")
    heading = "Current temperatures from HAL:"
    current = lines[lines.index(heading) + 1 :] if heading in lines else ()
    temperatures_c = {}
    for line in current:
        match = re.fullmatch(
            r"\s*Temperature\{mValue=(-?[0-9.]{1,20}), mType=(-?[0-9]{1,3}), mName=([^,}]{1,60}),"
            r" mStatus=[0-9]+\}\s*",
            line,
        )
        if match is None:
            break
        if int(match[2]) not in NOT_TEMPERATURES and float(match[1]) != 0:
            temperatures_c[_text(match[3]) or "?"] = float(match[1])
    return int(status) if status else None, temperatures_c


def parse_battery(lines: tuple[str, ...]) -> BatteryState | None:
    """What `dumpsys battery` prints; None where there is no battery. Its temperature is in tenths
    of a degree."""
    level, scale, tenths = (_field(lines, key) for key in ("level", "scale", "temperature"))
    if level is None or _field(lines, "present") == "false":
        return None
    powered = any(
        _field(lines, f"{source} powered") == "true" for source in ("AC", "USB", "Wireless", "Dock")
    )
    percent = 100 * int(level) / (int(scale or 0) or 100)
    return BatteryState(
        level_percent=percent, temperature_c=int(tenths) / 10 if tenths else None, powered=powered
    )


def _facts(sources: Sources) -> DeviceFacts:
    kernel, release, arch = (_first(sources, "uname") or "  ").split(" ", 2)
    cpu, cpus = parse_cpu(sources.get("/proc/cpuinfo", ()))
    os_release = dict(
        line.split("=", 1) for line in sources.get("/etc/os-release", ()) if "=" in line
    )
    android = _first(sources, "ro.build.version.release")
    phone = " ".join(
        filter(
            None, (_first(sources, "ro.product.manufacturer"), _first(sources, "ro.product.model"))
        )
    )
    return DeviceFacts(
        machine=_text(
            phone
            or _first(sources, "/proc/device-tree/model")
            or _field(sources.get("/proc/cpuinfo", ()), "Model")
        ),
        system=_text(
            f"Android {android}" if android else os_release.get("PRETTY_NAME", "").strip("\"'")
        ),
        kernel=_text(f"{kernel} {release}"),
        arch=_text(arch),
        cpu=cpu,
        cpus=cpus,
        memory_bytes=_kilobytes(sources.get("/proc/meminfo", ()), "MemTotal"),
        boot_id=_text(_first(sources, "/proc/sys/kernel/random/boot_id")),
    )


def _state(sources: Sources) -> DeviceState:
    load, oom = (
        _first(sources, "/proc/loadavg"),
        _field(sources.get("/proc/vmstat", ()), "oom_kill", " "),
    )
    pressure, cpu_pressure = (
        _field(sources.get(f"/proc/pressure/{kind}", ()), "some avg10", "=")
        for kind in ("memory", "cpu")
    )
    stat = _first(sources, "/proc/stat")
    zones = _zones(sources)
    thermal_status, hal_temperatures = parse_thermalservice(sources.get("thermalservice", ()))
    return DeviceState(
        boot_id=_text(_first(sources, "/proc/sys/kernel/random/boot_id")),
        load_1min=float(load.split()[0]) if load else None,
        available_bytes=_kilobytes(sources.get("/proc/meminfo", ()), "MemAvailable"),
        memory_pressure_percent=float(pressure.split()[0]) if pressure else None,
        cpu_pressure_percent=float(cpu_pressure.split()[0]) if cpu_pressure else None,
        cpu_time=CpuTime.of_ticks([int(ticks) for ticks in stat.split()[1:9]]) if stat else None,
        oom_kills=int(oom) if oom else None,
        affinity=_text(_field(sources.get("/proc/self/status", ()), "Cpus_allowed_list")),
        clocks=tuple(
            _clock(policy, files, sources) for policy, files in _groups(sources, CPUFREQ).items()
        ),
        temperatures_c={name: celsius for name, (celsius, _) in zones.items()}
        or hal_temperatures
        or parse_firmware_temperature(_first(sources, "measure_temp") or ""),
        whole_degree_zones=tuple(name for name, (_, whole) in zones.items() if whole),
        cooling=tuple(
            _cooling(files)
            for files in _groups(sources, "/sys/class/thermal/cooling_device").values()
            if "cur_state" in files
        ),
        throttled_flags=parse_throttled(_first(sources, "vcgencmd") or ""),
        thermal_status=thermal_status,
        battery=parse_battery(sources.get("battery", ())),
    )


def _clock(policy: str, files: Mapping[str, str], sources: Sources) -> Clock:
    current, low, high = (
        _integer(files.get(f"scaling_{name}_freq")) for name in ("cur", "min", "max")
    )
    states = (line.split() for line in sources.get(f"{CPUFREQ}{policy}/stats/time_in_state", ()))
    spent = {int(khz): int(ticks) * 1000 // USER_HZ for khz, ticks in states}
    return Clock(
        policy=policy,
        governor=_text(files.get("scaling_governor")),
        current_khz=current,
        min_khz=low,
        max_khz=high,
        time_in_state_ms=spent,
    )


def _cooling(files: Mapping[str, str]) -> Cooling:
    return Cooling(
        name=_text(files.get("type")) or "?",
        state=int(files["cur_state"]),
        transitions=_integer(files.get("total_trans")),
    )


def _zones(sources: Sources) -> dict[str, tuple[float, bool]]:
    """What `zone_reading` makes of each thermal zone. The zone's number keeps zones of one type
    apart."""
    zones = {
        f"{_text(files.get('type')) or 'zone'} {number}": zone_reading(
            files.get("type", ""), int(files["temp"])
        )
        for number, files in _groups(sources, "/sys/class/thermal/thermal_zone").items()
        if files.get("temp")
    }
    return {name: reading for name, reading in zones.items() if reading is not None}


def _groups(sources: Sources, prefix: str) -> dict[str, dict[str, str]]:
    """First lines of the files under `prefix`, by what follows the prefix and by file name: {"0":
    {"type": "cpu-thermal", "temp": "48199"}}."""
    groups: dict[str, dict[str, str]] = {}
    for source, lines in sources.items():
        if source.startswith(prefix):
            group, _, rest = source.removeprefix(prefix).partition("/")
            groups.setdefault(group, {})[rest.rpartition("/")[2]] = lines[0].strip()
    return dict(sorted(groups.items(), key=lambda item: (len(item[0]), item[0])))


def _understood(parse: Callable[[Sources], Parsed], capture: bytes) -> Parsed:
    try:
        return parse(parse_sources(capture))
    except (ValidationError, ValueError, IndexError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ResultError(
            f"the facts of the device are not understood: {printable(reason)}",
            hint="see /proc and /sys on the device",
        ) from None


def _arm_core(maker: str, part: str) -> str:
    code = int(maker, 16) << 12 | int(part, 16)
    return ARM_CORES.get(code, f"ARM {int(maker, 16):#04x}:{int(part, 16):#05x}")


def _first(sources: Sources, source: str) -> str | None:
    lines = sources.get(source)
    return lines[0].strip() or None if lines else None


def _field(lines: tuple[str, ...], key: str, separator: str = ":") -> str | None:
    """The value after `key` and its separator in the first line that has it."""
    for line in lines:
        name, separated, value = line.partition(separator)
        if separated and name.strip() == key:
            return value.strip()
    return None


def _kilobytes(lines: tuple[str, ...], key: str) -> int | None:
    value = _field(lines, key)
    return int(value.removesuffix("kB")) * 1024 if value else None


def _integer(text: str | None) -> int | None:
    return int(text) if text else None


def _text(text: str | None) -> str | None:
    return printable(text.strip(), limit=120) or None if text else None
