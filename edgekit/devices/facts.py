"""What a device is and how it is doing: one program run on it, and pure parsers of what that
prints. Owns no judgement (edgekit/measure/validity.py).

Each line of a capture is `source:line`, where the source is a file or a name of the script below;
one `grep` reads all files, because starting a process costs a tenth of a second on a slow board.
What a device does not offer is None, which means unknown and not good. Captures are untrusted: text
is made printable, and a source that does not look as the kernel writes it is a ResultError."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgekit.devices import Device
from edgekit.errors import DeviceError, ResultError
from edgekit.sanitize import printable

MAX_CAPTURE_BYTES = 1 << 20
TIMEOUT_S = 60.0

FACTS_SCRIPT = r"""
echo "uname:$(uname -srm)"
grep -asH '' /proc/sys/kernel/random/boot_id /proc/device-tree/model /etc/os-release /proc/cpuinfo
grep -asH '^MemTotal' /proc/meminfo
if command -v getprop >/dev/null 2>&1; then
  for key in ro.product.manufacturer ro.product.model ro.build.version.release; do echo "$key:$(getprop "$key")"; done
fi
exit 0
"""

STATE_SCRIPT = r"""
thermal=/sys/class/thermal
policy=/sys/devices/system/cpu/cpufreq/policy
grep -asH '' /proc/sys/kernel/random/boot_id /proc/loadavg /proc/pressure/memory /proc/pressure/cpu "$policy"*/stats/time_in_state \
  "$policy"*/scaling_governor "$policy"*/scaling_cur_freq "$policy"*/scaling_min_freq "$policy"*/scaling_max_freq \
  "$thermal"/thermal_zone*/type "$thermal"/thermal_zone*/temp \
  "$thermal"/cooling_device*/type "$thermal"/cooling_device*/cur_state "$thermal"/cooling_device*/stats/total_trans
grep -asH -e '^MemAvailable' -e '^oom_kill ' -e '^Cpus_allowed_list' -e '^cpu ' /proc/meminfo /proc/vmstat /proc/self/status /proc/stat
if command -v vcgencmd >/dev/null 2>&1; then
  echo "vcgencmd:$(vcgencmd get_throttled 2>/dev/null)"
  echo "measure_temp:$(vcgencmd measure_temp 2>/dev/null)"
fi
if command -v dumpsys >/dev/null 2>&1; then
  dumpsys thermalservice 2>/dev/null | sed 's/^/thermalservice:/'
  dumpsys battery 2>/dev/null | sed 's/^/battery:/'
fi
exit 0
"""

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

CPUFREQ = "/sys/devices/system/cpu/cpufreq/"
USER_HZ = 100
"""Ticks a second in what the kernel shows to programs, on every architecture that edgekit knows."""

Sources = Mapping[str, tuple[str, ...]]
Parsed = TypeVar("Parsed")
Khz = Annotated[int, Field(ge=0, le=10**8)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeviceFacts(Part):
    """What does not change while a device is up."""

    machine: str | None = None
    system: str | None = None
    kernel: str | None = None
    arch: str | None = None
    cpu: str | None = None
    cpus: Annotated[int, Field(ge=1, le=1 << 16)] | None = None
    memory_bytes: Annotated[int, Field(ge=0, le=1 << 50)] | None = None
    boot_id: str | None = None


class Clock(Part):
    """A group of cores that share a clock. `time_in_state_ms` says how long since boot it ran at
    each frequency, by kHz."""

    policy: str
    governor: str | None = None
    current_khz: Khz | None = None
    min_khz: Khz | None = None
    max_khz: Khz | None = None
    time_in_state_ms: Annotated[dict[Khz, Annotated[int, Field(ge=0)]], Field(max_length=256)] = {}


class CpuTime(Part):
    """Processor time of the whole device since boot, summed over its cores. `stolen_s` is what a
    virtual machine wanted and did not get."""

    busy_s: Annotated[float, Field(ge=0)]
    idle_s: Annotated[float, Field(ge=0)]
    stolen_s: Annotated[float, Field(ge=0)] = 0.0

    @property
    def total_s(self) -> float:
        return self.busy_s + self.idle_s + self.stolen_s

    @classmethod
    def of_ticks(cls, ticks: Sequence[int]) -> CpuTime:
        """From the numbers of a `cpu` line of /proc/stat, see proc(5): user nice system idle iowait
        irq softirq steal. Missing ones count as 0.

        Raises ValueError: fewer than four. pydantic.ValidationError: negative ones.
        """
        user, nice, system, idle, iowait, irq, softirq, stolen = (
            count / USER_HZ for count in [*ticks, *[0] * 4][:8]
        )
        return cls(
            busy_s=user + nice + system + irq + softirq, idle_s=idle + iowait, stolen_s=stolen
        )


class Cooling(Part):
    """A means of cooling the kernel steers, such as a fan or a cap on the clock. `transitions`
    counts the changes of its state since boot.

    State 0 is idle; some drivers say −1 instead.
    """

    name: str
    state: Annotated[int, Field(ge=-1)]
    transitions: Annotated[int, Field(ge=0)] | None = None


class BatteryState(Part):
    """What Android says of its battery. `powered` is whether a charger of any kind is connected."""

    level_percent: Annotated[float, Field(ge=0, le=100)]
    temperature_c: Annotated[float, Field(ge=-60, le=150)] | None = None
    powered: bool


class DeviceState(Part):
    """How a device is doing at one moment. `throttled_flags` are those of Raspberry Pi's `vcgencmd
    get_throttled`, `thermal_status` is Android's."""

    boot_id: str | None = None
    load_1min: Annotated[float, Field(ge=0, le=1e6)] | None = None
    available_bytes: Annotated[int, Field(ge=0, le=1 << 50)] | None = None
    memory_pressure_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    cpu_pressure_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    cpu_time: CpuTime | None = None
    oom_kills: Annotated[int, Field(ge=0)] | None = None
    affinity: str | None = None
    clocks: tuple[Clock, ...] = ()
    temperatures_c: dict[str, float] = {}
    cooling: tuple[Cooling, ...] = ()
    throttled_flags: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    thermal_status: Annotated[int, Field(ge=0, le=10)] | None = None
    battery: BatteryState | None = None


def collect(device: Device) -> DeviceFacts:
    """Ask a device what it is. Raises what `device.run` raises, DeviceError (no shell), ResultError
    (not understood)."""
    return parse_facts(_capture(device, FACTS_SCRIPT))


def collect_state(device: Device) -> DeviceState:
    """Ask a device how it is doing. Raises what `device.run` raises, DeviceError (no shell),
    ResultError (not understood)."""
    return parse_state(_capture(device, STATE_SCRIPT))


def _capture(device: Device, script: str) -> bytes:
    done = device.run(
        ["sh", "-c", script],
        timeout_s=TIMEOUT_S,
        max_stdout_bytes=MAX_CAPTURE_BYTES,
        max_stderr_bytes=4096,
    )
    if not done.ok:
        raise DeviceError(
            f"{device.name}: its shell cannot read /proc and /sys (exit code {done.exit_code})",
            hint="see `edgekit target check`",
        )
    return done.stdout


def parse_facts(capture: bytes) -> DeviceFacts:
    """Read what FACTS_SCRIPT printed."""
    return _understood(_facts, capture)


def parse_state(capture: bytes) -> DeviceState:
    """Read what STATE_SCRIPT printed."""
    return _understood(_state, capture)


def parse_sources(capture: bytes) -> dict[str, tuple[str, ...]]:
    """The lines of each source, in order. Lines without a source are dropped: a login shell may
    print a greeting."""
    found: dict[str, list[str]] = {}
    for line in capture.decode("utf-8", "replace").replace("\0", "").splitlines():
        source, colon, content = line.partition(":")
        if colon and re.fullmatch(r"[A-Za-z0-9/._-]{1,200}", source):
            found.setdefault(source, []).append(content)
    return {source: tuple(lines) for source, lines in found.items()}


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
    found = {}
    for line in current:
        match = re.fullmatch(
            r"\s*Temperature\{mValue=(-?[0-9.]{1,20}), mType=(-?[0-9]{1,3}), mName=([^,}]{1,60}),"
            r" mStatus=[0-9]+\}\s*",
            line,
        )
        if match is None:
            break
        if int(match[2]) not in NOT_TEMPERATURES and float(match[1]) != 0:
            found[_text(match[3]) or "?"] = float(match[1])
    return int(status) if status else None, found


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
        temperatures_c=_temperatures(sources)
        or hal_temperatures
        or parse_firmware_temperature(_first(sources, "measure_temp") or ""),
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


def _temperatures(sources: Sources) -> dict[str, float]:
    """Degrees Celsius by zone. The zone's number keeps zones of one type apart."""
    zones = _groups(sources, "/sys/class/thermal/thermal_zone")
    return {
        f"{_text(files.get('type')) or 'zone'} {zone}": int(files["temp"]) / 1000
        for zone, files in zones.items()
        if files.get("temp")
    }


def _groups(sources: Sources, prefix: str) -> dict[str, dict[str, str]]:
    """First lines of the files under `prefix`, by what follows the prefix and by file name: {"0":
    {"type": "cpu-thermal", "temp": "48199"}}."""
    found: dict[str, dict[str, str]] = {}
    for source, lines in sources.items():
        if source.startswith(prefix):
            group, _, rest = source.removeprefix(prefix).partition("/")
            found.setdefault(group, {})[rest.rpartition("/")[2]] = lines[0].strip()
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def _understood(parse: Callable[[Sources], Parsed], capture: bytes) -> Parsed:
    try:
        return parse(parse_sources(capture))
    except (ValidationError, ValueError, IndexError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ResultError(
            f"what the device says about itself is not understood: {printable(reason)}",
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
        name, found, value = line.partition(separator)
        if found and name.strip() == key:
            return value.strip()
    return None


def _kilobytes(lines: tuple[str, ...], key: str) -> int | None:
    value = _field(lines, key)
    return int(value.removesuffix("kB")) * 1024 if value else None


def _integer(text: str | None) -> int | None:
    return int(text) if text else None


def _text(text: str | None) -> str | None:
    return printable(text.strip(), limit=120) or None if text else None
