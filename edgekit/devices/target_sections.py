"""The sections of a target file: deadlines, runners, what may be controlled while measuring, and
the power sensor. How a machine is reached is in target.py."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from edgekit.yaml_documents.fields import LocalPath, Matches, Positive, Section, invalid

_COMPONENTS = r"(/(?!\.\.?(/|$))[A-Za-z0-9._+@=-]{1,100}){1,16}"
DevicePath = Annotated[
    str,
    Matches(
        rf"~?{_COMPONENTS}",
        "expected /A/B or ~/A/B, of letters, digits, '.', '_', '+', '@', '=' and '-', without '.'"
        " or '..' as a part",
    ),
]
Program = Annotated[
    str,
    Matches(
        rf"[A-Za-z0-9][A-Za-z0-9._+-]{{0,63}}|{_COMPONENTS}",
        "expected the name of a program, such as python3, or its absolute path",
    ),
]


class Timeouts(Section):
    """Deadlines. Whatever passes one is given up and cleaned up, and reported as a transport
    error."""

    connect_seconds: Positive = Field(default=10.0, description="To reach the device and log in.")
    no_progress_seconds: Positive = Field(
        default=30.0,
        description="Without a byte moved, or a line printed where lines are expected.",
    )
    transfer_seconds: Positive = Field(default=1800.0, description="One file, whole.")
    run_seconds: Positive = Field(default=900.0, description="One runner process, whole.")


def _named_before(kind: object) -> object:
    """`auto` was called `edgekit`."""
    return "auto" if kind == "edgekit" else kind


class ExecutorchRunner(Section):
    """What runs `.pte` files."""

    kind: Literal["edgekit", "executor_runner"] = Field(
        default="edgekit",
        description=(
            "Whose runner `program` is: one that speaks edgekit's protocol, or ExecuTorch's own,"
            " whose numbers never pass a gate."
        ),
    )
    program: DevicePath | None = Field(
        default=None,
        description=(
            "A runner that is on the device already. Default: edgekit builds its own for the"
            " device's architecture."
        ),
        examples=["/data/local/tmp/executor_runner"],
    )

    @property
    def whose(self) -> Literal["edgekit", "executor_runner"]:
        """Whose program runs the files."""
        return self.kind


class LitertRunner(Section):
    """What runs `.tflite` files."""

    kind: Annotated[
        Literal["auto", "native", "python", "benchmark_model"], BeforeValidator(_named_before)
    ] = Field(
        default="auto",
        description=(
            "`native`: edgekit's native runner, which needs no Python; `python`: edgekit's runner"
            " in Python; `auto`: the native one, and the one in Python for what that cannot run,"
            " which results say. `benchmark_model`: TensorFlow Lite's own program on the device,"
            " whose numbers never pass a gate."
        ),
    )
    program: DevicePath | None = Field(
        default=None,
        description="The benchmark_model that is on the device already.",
        examples=["/data/local/tmp/benchmark_model"],
    )
    python: Program = Field(
        default="python3",
        description="The device's Python, for `kind: python` and where `auto` takes it.",
        examples=["python3", "/usr/bin/python3.11"],
    )
    package: Literal["auto", "ai_edge_litert", "tflite_runtime"] = Field(
        default="auto",
        description=(
            "The package for the runner in Python, which another than `auto` asks for; `auto` takes"
            " the newest that has a wheel for the device."
        ),
    )

    @property
    def whose(self) -> Literal["edgekit", "benchmark_model"]:
        """Whose program runs the files."""
        return "benchmark_model" if self.kind == "benchmark_model" else "edgekit"

    @property
    def choice(self) -> Literal["auto", "native", "python"]:
        """Which of edgekit's runners."""
        return "auto" if self.kind == "benchmark_model" else self.kind


class Runners(Section):
    """The runtimes on the device."""

    executorch: ExecutorchRunner = ExecutorchRunner()
    litert: LitertRunner = LitertRunner()

    @model_validator(mode="after")
    def _with_a_program(self) -> Self:
        for name, runner in self._by_runtime().items():
            if runner.whose != "edgekit" and runner.program is None:
                raise invalid(
                    f"`kind: {runner.kind}` needs `program`, its path on the device", key=name
                )
        if self.litert.whose == "edgekit" and self.litert.program:
            raise invalid(
                "`program` is for `kind: benchmark_model`; edgekit brings its own runner",
                key="litert",
            )
        return self

    def kind(self, runtime: str) -> Literal["edgekit", "executor_runner", "benchmark_model"]:
        """Which runner a runtime has here."""
        return self._by_runtime()[runtime].whose

    def program(self, runtime: str) -> str | None:
        """The path of a runner that is on the device already, as programs find it: they start in
        the home directory."""
        path = self._by_runtime()[runtime].program
        return path.replace("~/", "./", 1) if path else None

    def _by_runtime(self) -> dict[str, ExecutorchRunner | LitertRunner]:
        return {"executorch": self.executorch, "litert": self.litert}


class CoolDown(Section):
    """Wait before each run until the hottest thermal zone is below a temperature."""

    below_c: Annotated[float, Field(ge=-40, le=150, allow_inf_nan=False)] = Field(
        description="°C.", examples=[50]
    )
    zone: Annotated[str, Field(min_length=1, max_length=130)] | None = Field(
        default=None,
        description=(
            "Only this thermal zone counts: a type, or a type and its number, as `edgekit target"
            " check` prints it. Default: all that are temperatures and move."
        ),
        examples=["cpu-thermal"],
    )
    timeout_seconds: Positive = Field(
        default=300.0, description="After that the run starts anyway, and the measurement notes it."
    )


class Control(Section):
    """What may be changed on the device while it is measured. It is undone afterwards, also when
    the host dies."""

    governor: (
        Annotated[str, Matches(r"[a-z][a-z0-9_]{0,31}", "expected a governor such as performance")]
        | None
    ) = Field(
        default=None,
        description="For all clocks, while artifacts are measured. Needs root on the device.",
        examples=["performance"],
    )
    cpus: tuple[Annotated[int, Field(ge=0, le=1023)], ...] = Field(
        default=(), description="Cores the runner may use. Default: all.", examples=[[2, 3]]
    )
    cool_down: CoolDown | None = Field(
        default=None,
        description="Wait for a cool device before each run.",
        examples=[{"below_c": 50}],
    )

    @model_validator(mode="after")
    def _each_core_once(self) -> Self:
        if len(set(self.cpus)) < len(self.cpus):
            raise invalid("a core is named twice", key="cpus")
        return self


class PowerSensor(Section):
    """How the device's power is read, for `edgekit bench --energy`."""

    sensor: Literal["hwmon", "battery", "serial"] = Field(
        description=(
            "hwmon: an INA2xx or the like that the device's kernel knows. battery: the device's own"
            " gauge. serial: a meter at this machine."
        )
    )
    seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=10.0, description="How long each artifact runs; for a battery's gauge at least 60."
    )
    chip: (
        Annotated[
            str, Matches(r"[A-Za-z0-9_-]{1,64}", "expected a name from /sys/class/hwmon/*/name")
        ]
        | None
    ) = Field(
        default=None,
        description="hwmon: its name. Default: the only one with the channel.",
        examples=["ina226"],
    )
    channel: Annotated[int, Field(ge=0, le=99)] = Field(
        default=1, description="hwmon: the number in power1_input or curr1_input."
    )
    port: LocalPath | None = Field(
        default=None, description="serial: the port.", examples=["/dev/ttyUSB0"]
    )
    baud: Literal[9600, 19200, 38400, 57600, 115200] = Field(
        default=115200, description="serial: its speed."
    )
    pattern: Annotated[str, Field(max_length=200)] | None = Field(
        default=None,
        description=(
            "serial: a regular expression for a line, with a group `watts`, or `volts` and"
            " `amperes`."
        ),
        examples=[r"(?P<volts>[0-9.]+)V (?P<amperes>[0-9.]+)A"],
    )

    @model_validator(mode="after")
    def _a_serial_meter_is_described(self) -> Self:
        if self.sensor != "serial":
            return self
        if self.port is None or self.pattern is None:
            raise invalid(
                "a serial meter needs `port` and `pattern`",
                key="port" if self.port is None else "pattern",
            )
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise invalid(f"not a regular expression: {error}", key="pattern") from None
        if not ({"watts"} <= groups or {"volts", "amperes"} <= groups):
            raise invalid(
                "expected a group called `watts`, or `volts` and `amperes`", key="pattern"
            )
        return self
