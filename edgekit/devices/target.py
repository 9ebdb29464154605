"""Targets: which machine to measure on and how to reach it. Owns the target file and where targets
are looked for. Opens no connection and knows no recipe.

A target never holds a secret: keys stay with the ssh agent, in key files, or in the environment.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from platformdirs import user_config_path
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from edgekit.errors import UsageError
from edgekit.yaml_documents.fields import LocalPath, Matches, Name, Positive, Section, invalid
from edgekit.yaml_documents.problems import Problem, quoted, refuse
from edgekit.yaml_documents.schema_help import documented
from edgekit.yaml_documents.validation import check, closest
from edgekit.yaml_documents.yaml_file import Document, read_yaml

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
Host = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9_:][A-Za-z0-9._:%-]{0,252}",
        "expected a host name, an address, or an alias from ~/.ssh/config",
    ),
]
User = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}",
        "expected a user name: letters, digits, '.', '_', '@' and '-'",
    ),
]
Serial = Annotated[
    str,
    Matches(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", "expected a serial as `adb devices` prints it"),
]


class Timeouts(Section):
    """Deadlines. Whatever passes one is given up and cleaned up, and reported as a transport
    error."""

    connect_seconds: Positive = Field(
        default=10.0, description="To reach the device and be let in."
    )
    no_progress_seconds: Positive = Field(
        default=30.0,
        description="Without a byte moved, or a line printed where lines are expected.",
    )
    transfer_seconds: Positive = Field(default=1800.0, description="One file, whole.")
    run_seconds: Positive = Field(default=900.0, description="One runner process, whole.")


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


class LitertRunner(Section):
    """What runs `.tflite` files."""

    kind: Literal["edgekit", "benchmark_model"] = Field(
        default="edgekit",
        description=(
            "`benchmark_model`: TensorFlow Lite's own program on the device, whose numbers never"
            " pass a gate."
        ),
    )
    program: DevicePath | None = Field(
        default=None,
        description="The benchmark_model that is on the device already.",
        examples=["/data/local/tmp/benchmark_model"],
    )
    python: Program = Field(
        default="python3",
        description="The device's Python.",
        examples=["python3", "/usr/bin/python3.11"],
    )
    package: Literal["auto", "ai_edge_litert", "tflite_runtime"] = Field(
        default="auto",
        description=(
            "The runtime to provide; `auto` takes the newest that has a wheel for the device."
        ),
    )


class Runners(Section):
    """The runtimes on the device."""

    executorch: ExecutorchRunner = ExecutorchRunner()
    litert: LitertRunner = LitertRunner()

    @model_validator(mode="after")
    def _with_a_program(self) -> Self:
        for name, runner in (("executorch", self.executorch), ("litert", self.litert)):
            if runner.kind != "edgekit" and runner.program is None:
                raise invalid(
                    f"`kind: {runner.kind}` needs `program`, its path on the device", key=name
                )
        if self.litert.kind == "edgekit" and self.litert.program:
            raise invalid(
                "`program` is for `kind: benchmark_model`; edgekit's own runner needs `python`",
                key="litert",
            )
        return self

    def kind(
        self, format: Literal["executorch", "litert"]
    ) -> Literal["edgekit", "executor_runner", "benchmark_model"]:
        return self.executorch.kind if format == "executorch" else self.litert.kind

    def program(self, format: Literal["executorch", "litert"]) -> str | None:
        """The path of a runner that is on the device already, as programs find it: they start in
        the home directory."""
        path = self.executorch.program if format == "executorch" else self.litert.program
        return path.replace("~/", "./", 1) if path else None


class CoolDown(Section):
    """Wait before each run until the hottest thermal zone is below a temperature."""

    below_c: Annotated[float, Field(ge=-40, le=150, allow_inf_nan=False)] = Field(
        description="°C.", examples=[50]
    )
    timeout_seconds: Positive = Field(
        default=300.0, description="Then the run starts all the same, and the measurement says so."
    )


class Control(Section):
    """What may be changed on the device while it is measured. It is undone afterwards, also when
    the host dies."""

    governor: (
        Annotated[str, Matches(r"[a-z][a-z0-9_]{0,31}", "expected a governor such as performance")]
        | None
    ) = Field(
        default=None,
        description="Of all clocks, while artifacts are measured. Needs root on the device.",
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


class TargetBase(Section):
    """What every target has. How it is reached is the key `kind`."""

    edgekit: Literal[1] = Field(description="Version of the target format.")
    name: Name = Field(description="How results call the device.", examples=["pi5-kitchen"])
    description: str = Field(
        default="", description="One sentence for the reader.", examples=["The Pi 5 on the desk."]
    )
    timeouts: Timeouts = Timeouts()
    timings: Literal["meaningful", "meaningless"] = Field(
        default="meaningful",
        description=(
            "`meaningless` for emulated devices: latencies are labelled so and never judged."
        ),
    )
    timings_reason: str = Field(
        default="", description="Why timings are meaningless.", examples=["runs under qemu"]
    )
    runners: Runners = Runners()
    control: Control = Control()
    power: PowerSensor | None = Field(
        default=None,
        description=(
            "Where the device's power can be read. Default: nowhere, so that energy is n/a."
        ),
        examples=[{"sensor": "hwmon"}],
    )
    require_signature: LocalPath | None = Field(
        default=None,
        description=(
            "An Ed25519 public key file, relative to this file or `~/…`: only bundles signed with"
            " its private key are deployed."
        ),
        examples=["release.pub"],
    )

    @model_validator(mode="after")
    def _meaningless_for_a_reason(self) -> Self:
        if (self.timings == "meaningless") != bool(self.timings_reason):
            raise invalid(
                "`timings: meaningless` and `timings_reason` go together",
                key="timings_reason" if self.timings_reason else "timings",
            )
        return self


class LocalTarget(TargetBase):
    """This machine."""

    kind: Literal["local"]
    workdir: DevicePath = Field(
        default="~/.cache/edgekit/device",
        description="Where bundles are kept; made if it is missing.",
    )


class SshTarget(TargetBase):
    """A machine reached over SSH. What is not given here comes from ~/.ssh/config."""

    kind: Literal["ssh"]
    host: Host = Field(
        description="Host name, address, or an alias from ~/.ssh/config.",
        examples=["raspberrypi.local"],
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Default: from ~/.ssh/config, else 22.", examples=[22]
    )
    user: User | None = Field(
        default=None,
        description="Default: from ~/.ssh/config, else your own name.",
        examples=["pi"],
    )
    identity_file: LocalPath | None = Field(
        default=None,
        description=(
            "Private key file, relative to this file or `~/…`. Default: the agent and"
            " ~/.ssh/config."
        ),
        examples=["~/.ssh/id_ed25519"],
    )
    known_hosts: LocalPath | None = Field(
        default=None,
        description=(
            "Trusted host keys, relative to this file or `~/…`. Default: ~/.ssh/known_hosts."
        ),
        examples=["known_hosts"],
    )
    workdir: DevicePath = Field(
        default="~/edgekit", description="Where bundles are kept; made if it is missing."
    )


class AdbTarget(TargetBase):
    """An Android device, or anything that runs adbd."""

    kind: Literal["adb"]
    serial: Serial | None = Field(
        default=None,
        description="As `adb devices` prints it. Default: the only device there is.",
        examples=["emulator-5554"],
    )
    allow_network: bool = Field(
        default=False,
        description=(
            "Allow a device that is reached over TCP, where anyone on the network can reach it too."
        ),
    )
    workdir: DevicePath = Field(
        default="/data/local/tmp/edgekit",
        description="Where bundles are kept; made if it is missing.",
    )

    @model_validator(mode="after")
    def _reached_as_allowed(self) -> Self:
        if self.workdir.startswith("~"):
            raise invalid("adb knows no home directory: expected an absolute path", key="workdir")
        if self.serial and re.search(r":|\._adb", self.serial) and not self.allow_network:
            hint = (
                "prefer USB, as anyone on its network can reach it too; or set `allow_network:"
                " true`"
            )
            raise invalid(
                "a device on the network, which is not allowed by default", hint, key="serial"
            )
        return self


Target = Annotated[LocalTarget | SshTarget | AdbTarget, Field(discriminator="kind")]

BUILT_IN = {
    "local": LocalTarget(edgekit=1, name="local", kind="local", description="This machine.")
}


def as_target(given: Target | str | Path) -> Target:
    """A target, or the one that a name or path means. Raises what `load_target` raises."""
    return load_target(given) if isinstance(given, str | Path) else given


def load_target(name_or_path: str | Path) -> Target:
    """The target in a file (`x.yaml`, `dir/x`), or the one called so in ./targets, in the user's
    configuration, or built in.

    Paths in it are made absolute. Raises UsageError: no such target, or every problem in its file
    with line and column."""
    text = str(name_or_path)
    if "/" in text or text.endswith((".yaml", ".yml")) or isinstance(name_or_path, Path):
        return read_target(Path(name_or_path))
    for directory in target_directories():
        if re.fullmatch(r"[A-Za-z0-9._-]+", text) and os.path.exists(directory / f"{text}.yaml"):
            return read_target(directory / f"{text}.yaml")
    if text in BUILT_IN:
        return BUILT_IN[text]
    known = target_names()
    hint = f"there are: {', '.join(known)}; or give a file, e.g. targets/pi5.yaml"
    raise UsageError(f"no target is called {quoted(text)}{closest(text, known)}", hint=hint)


def read_target(path: Path) -> Target:
    """Read and check a target file. Raises UsageError with every problem in it."""
    document = read_yaml(path)
    target, problems = check(
        Target, replace(document, problems=(*document.problems, *_secrets(document)))
    )
    if problems:
        refuse(problems)
    return _with_absolute_paths(target, path.absolute().parent)


def new_target(name: str, values: dict[str, Any]) -> Target:
    """A target from values that came by another way than a file. Raises UsageError with every
    problem in them."""
    try:
        found: Target = TypeAdapter(Target).validate_python({"edgekit": 1, "name": name, **values})
    except ValidationError as error:
        raise UsageError(
            "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
        ) from None
    return found


def target_directories() -> tuple[Path, Path]:
    """Where targets are looked for by name, in this order."""
    return Path("targets"), user_config_path("edgekit") / "targets"


def target_names() -> list[str]:
    """The names `load_target` knows."""
    return sorted(
        {file.stem for directory in target_directories() for file in directory.glob("*.yaml")}
        | set(BUILT_IN)
    )


def target_json_schema() -> dict[str, Any]:
    """What a target file may hold, for editors."""
    schema = documented(TypeAdapter(Target).json_schema(by_alias=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgekit target",
        **schema,
    }


_SECRET = re.compile(
    r"pass_?(word|wd|phrase)|secret|token|credential|(api|private)_?key|^pw$|^pass$"
)


def _secrets(document: Document) -> list[Problem]:
    """Keys that hold secrets by their name. Their values are never shown."""
    hint = (
        "let the ssh agent hold the key, name a key file with `identity_file`, or use the"
        " environment"
    )
    found = [
        path for path in document.keys if _SECRET.search(str(path[-1]).lower().replace("-", "_"))
    ]
    message = "a secret does not belong in a target file, which is shared and logged"
    return [
        Problem(document.origin_of(path, of_key=True), f"{quoted(str(path[-1]))}: {message}", hint)
        for path in found
    ]


def _with_absolute_paths(target: Target, directory: Path) -> Target:
    written = {
        key: getattr(target, key, None)
        for key in ("require_signature", "identity_file", "known_hosts")
    }
    absolute = {
        key: str(directory / os.path.expanduser(value))
        for key, value in written.items()
        if value is not None
    }
    return target.model_copy(update=absolute)
