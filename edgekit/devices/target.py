"""Targets: which machine to measure on and how to reach it. Owns what a target file may hold;
reading and finding such files is in target_files.py. Opens no connection and knows no recipe.

A target never holds a secret: keys stay with the ssh agent, in key files, or in the environment.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from edgekit.devices.target_sections import Control, DevicePath, PowerSensor, Runners, Timeouts
from edgekit.yaml_documents.fields import LocalPath, Matches, Name, Section, invalid
from edgekit.yaml_documents.schema_choices import told_apart
from edgekit.yaml_documents.schema_help import documented

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
    Matches(
        r"[A-Za-z0-9_]([ -~]{0,126}[!-~])?",
        "expected a serial as `adb devices` prints it, or a USB port as `adb devices -l` does",
    ),
]


def is_network(serial: str) -> bool:
    """Whether adb reaches a device over TCP: `HOST:PORT`, or found by mDNS. `usb:…` is a port of
    this machine."""
    return not serial.startswith("usb:") and (":" in serial or "._adb" in serial)


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
            "Trusted host keys, relative to this file or `~/…`. Default: those that `edgekit target"
            " trust` recorded, and those of `ssh`."
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
        description=(
            "As `adb devices` prints it, or the USB port as `adb devices -l` does. Default: the one"
            " in ANDROID_SERIAL, else the only device there is."
        ),
        examples=["emulator-5554", "usb:1-2"],
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
        if self.serial and is_network(self.serial) and not self.allow_network:
            hint = (
                "prefer USB, as anyone on its network can reach it too; or set `allow_network:"
                " true`"
            )
            raise invalid(
                "a device on the network, which is not allowed by default", hint, key="serial"
            )
        return self


Target = Annotated[LocalTarget | SshTarget | AdbTarget, Field(discriminator="kind")]


def target_json_schema() -> dict[str, Any]:
    """The JSON schema of target files, for editors.

    Returns:
        A schema of draft 2020-12, as plain JSON values.

    Raises:
        Nothing.

    Example:
        >>> edgekit.target_json_schema()["title"]
        'edgekit target'
    """
    schema = told_apart(documented(TypeAdapter(Target).json_schema(by_alias=True)))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgekit target",
        **schema,
    }
