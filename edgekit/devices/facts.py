"""What a device is and how it is doing: the values. How a device is asked is in fact_scripts.py,
how its answers are read in fact_parsing.py, and what is a problem in edgekit/measure/validity.py.

What a device does not offer is None, which means unknown and not good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CPUFREQ = "/sys/devices/system/cpu/cpufreq/"
USER_HZ = 100
"""Ticks a second in what the kernel shows to programs, on every architecture that edgekit knows."""

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
    """A group of cores that share a clock. `time_in_state_ms` is the time since boot it ran
    at each frequency, by kHz."""

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

    State 0 is idle; some drivers give −1 instead.
    """

    name: str
    state: Annotated[int, Field(ge=-1)]
    transitions: Annotated[int, Field(ge=0)] | None = None


class BatteryState(Part):
    """What Android reports about the battery. `powered` is whether a charger of any kind is
    connected."""

    level_percent: Annotated[float, Field(ge=0, le=100)]
    temperature_c: Annotated[float, Field(ge=-60, le=150)] | None = None
    powered: bool


class DeviceState(Part):
    """How a device is doing at one moment. `temperatures_c` are by thermal zone, and
    `whole_degree_zones` those whose files hold whole degrees. `throttled_flags` come from Raspberry
    Pi's `vcgencmd get_throttled`, `thermal_status` from Android."""

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
    whole_degree_zones: tuple[str, ...] = ()
    cooling: tuple[Cooling, ...] = ()
    throttled_flags: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    thermal_status: Annotated[int, Field(ge=0, le=10)] | None = None
    battery: BatteryState | None = None
