"""What a device says it can run."""

from __future__ import annotations

import platform
import sys

import pytest

from edgekit.devices.local import LocalDevice
from edgekit.devices.target import SshTarget
from edgekit.devices.target_files import BUILT_IN
from edgekit.errors import DeviceError
from edgekit.runners.board_platform import parse_platform, platform_of
from edgekit.runners.runtime import Platform

ELF = {"aarch64": "b700", "arm": "2800", "none": "0000"}


def capture(machine: str, elf: str = "aarch64", *lines: str) -> bytes:
    header = "7f454c46" + "02" * 12 + "0300" + ELF[elf]
    return "\n".join(
        ["Welcome to my board", f"machine:{machine}", f"elf:{header}", *lines]
    ).encode()


def test_a_raspberry_pi() -> None:
    board_platform = parse_platform(
        capture(
            "aarch64",
            "aarch64",
            "glibc:glibc 2.36",
            "python:3.11",
            "confstr:glibc 2.36",
            "numpy:1.24.2",
        ),
        python="python3",
    )
    assert board_platform == Platform(
        "aarch64", python="python3", glibc="2.36", python_version="3.11", numpy="1.24.2"
    )


def test_32_bit_programs_on_a_64_bit_kernel() -> None:
    assert parse_platform(capture("aarch64", "arm"), python="python3").arch == "armv7l"
    assert parse_platform(capture("armv6l", "arm"), python="python3").arch == "armv6l"


def test_the_libraries_of_the_architecture_of_its_programs() -> None:
    """A board may have the C++ library of two architectures."""
    arm, arm64 = (capture("x", elf).decode().split("elf:")[1] for elf in ("arm", "aarch64"))
    lines = [
        "glibc:glibc 2.31",
        f"libstdcxx:{arm} GLIBCXX_3.4.30 CXXABI_1.3.13 CXXABI_ARM_1.3.3",
        f"libstdcxx:{arm64} GLIBCXX_3.4.9 GLIBCXX_3.4.28 CXXABI_1.3.12 GLIBCXX_$(reboot)",
        "libstdcxx:zz GLIBCXX_9.9",
    ]
    board = parse_platform(capture("aarch64", "aarch64", *lines), python="python3")
    assert (board.glibcxx, board.cxxabi) == ("3.4.28", "1.3.12")


def test_a_phone_has_neither_python_nor_glibc() -> None:
    assert parse_platform(capture("aarch64", "aarch64", "glibc:"), python="python3") == Platform(
        "aarch64"
    )


def test_glibc_known_by_python_only() -> None:
    assert (
        parse_platform(
            capture("aarch64", "aarch64", "glibc:", "python:3.9", "confstr:glibc 2.31"),
            python="python3",
        ).glibc
        == "2.31"
    )


@pytest.mark.parametrize(
    "line", ["glibc:2.36", "glibc:musl", "python:2.7", "python:3.11; rm", "numpy:../../x"]
)
def test_rubbish_is_not_believed(line: str) -> None:
    assert parse_platform(capture("aarch64", "aarch64", line), python="python3") == Platform(
        "aarch64"
    )


@pytest.mark.parametrize(
    "output", [b"", b"machine:\nelf:", b"machine:$(reboot)\nelf:zz", b"\xff\xfe"]
)
def test_no_architecture(output: bytes) -> None:
    with pytest.raises(DeviceError, match="architecture is unknown"):
        parse_platform(output, python="python3")


def test_asked_for_real() -> None:
    target = SshTarget.model_validate(
        {
            "edgekit": 1,
            "name": "x",
            "kind": "ssh",
            "host": "x",
            "runners": {"litert": {"python": sys.executable}},
        }
    )
    board_platform = platform_of(target, LocalDevice())
    assert board_platform.arch == platform.machine()
    assert board_platform.python_version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert board_platform.glibc == platform.libc_ver()[1]
    assert board_platform.numpy
    assert not board_platform.is_host


def test_this_machine_is_not_asked() -> None:
    assert platform_of(BUILT_IN["local"], LocalDevice()).is_host
