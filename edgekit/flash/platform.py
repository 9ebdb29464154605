"""What system is on a card, from its package database, before it ever ran: what its runtimes are
chosen by."""

from __future__ import annotations

import re

from edgekit.errors import DeviceError
from edgekit.flash.disk import Disk
from edgekit.flash.filesystem import root_partition
from edgekit.runners.runtime import Platform
from edgekit.sanitize import printable

STATUS = "/var/lib/dpkg/status"
EMULATED = "/etc/edgekit-emulated"
"""In images made for an emulator: a line that says why timings there mean nothing."""
ARCHITECTURES = {"arm64": "aarch64", "armhf": "armv7l", "amd64": "x86_64"}


def read_platform(disk: Disk) -> Platform:
    """Architecture, C library and Python of the Debian-like system in the root file system.

    Raises DeviceError: no package database there, or an architecture that edgekit has no runtimes
    for."""
    root = root_partition(disk)
    if not root.exists(STATUS):
        raise DeviceError(
            f"{disk.path}: no {STATUS} in the root file system",
            hint="use an image of Raspberry Pi OS, Debian or Ubuntu",
        )
    try:
        return parse_status(root.read(STATUS).decode(errors="replace"))
    except DeviceError as error:
        raise DeviceError(f"{disk.path}: {error.message}", hint=error.hint) from None


def read_emulation(disk: Disk) -> str:
    """Why timings of the system on a card mean nothing, as its image says; empty where the image is
    for real boards. Raises DeviceError."""
    root = root_partition(disk)
    if not root.exists(EMULATED):
        return ""
    return (
        printable(root.read(EMULATED).decode(errors="replace").strip())
        or "the image is for an emulator"
    )


def parse_status(status: str) -> Platform:
    """The platform that dpkg's database describes. Raises DeviceError."""
    libc = _package(status, "libc6")
    python = _package(status, "python3-minimal")
    arch = ARCHITECTURES.get(libc.get("Architecture", "")) if libc else None
    if libc is None or arch is None:
        raise DeviceError(
            "its C library is not Debian's libc6 for arm64, armhf or amd64",
            hint="flash without --bundle",
        )
    numpy = _package(status, "python3-numpy")
    version = python and re.match(r"\d+\.\d+", python["Version"])
    return Platform(
        arch=arch,
        glibc=libc["Version"].partition("-")[0],
        python="python3" if version else None,
        python_version=version[0] if version else None,
        numpy=re.split(r"[^0-9.]", numpy["Version"].rpartition(":")[2])[0] if numpy else None,
    )


def _package(status: str, name: str) -> dict[str, str] | None:
    """The fields of an installed package."""
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Z][A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if (
            fields.get("Package") == name
            and fields.get("Status", "").endswith(" installed")
            and "Version" in fields
        ):
            return fields
    return None
