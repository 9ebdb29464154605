"""Which runtimes a device can run: its architecture, C library and Python, asked in one program.
Owns no other facts (edgekit/devices/facts.py).

The architecture is that of the program that reads its own ELF header, not the kernel's: a 64-bit
kernel below 32-bit programs is common on boards."""

from __future__ import annotations

import re

from edgekit.devices import Device
from edgekit.devices.facts import parse_sources
from edgekit.devices.target import Target
from edgekit.errors import DeviceError
from edgekit.runners.runtime import Platform, host_platform

TIMEOUT_S = 60.0
SCRIPT = r"""
echo "machine:$(uname -m)"
echo "elf:$(head -c 20 /proc/self/exe | od -An -v -t x1 | tr -d ' \n')"
echo "glibc:$(getconf GNU_LIBC_VERSION 2>/dev/null)"
"$1" -I -c '
import sys
print("python:%d.%d" % sys.version_info[:2])
import os
print("confstr:" + (os.confstr("CS_GNU_LIBC_VERSION") or ""))
from importlib.metadata import version
print("numpy:" + version("numpy"))
' 2>/dev/null
exit 0
"""
ELF_MACHINES = {0x03: "i686", 0x28: "arm", 0x3E: "x86_64", 0xB7: "aarch64", 0xF3: "riscv64"}


def platform_of(target: Target, device: Device) -> Platform:
    """Ask a device what it can run; for this machine nothing is asked. Raises what `device.run`
    raises, and DeviceError (not understood)."""
    if target.kind == "local":
        return host_platform()
    python = target.runners.litert.python
    done = device.run(
        ["sh", "-c", SCRIPT, "edgekit", python.replace("~/", "./", 1)],
        timeout_s=TIMEOUT_S,
        max_stdout_bytes=1 << 16,
    )
    return parse_platform(
        done.stdout, python=python, litert_package=target.runners.litert.package, device=device.name
    )


def parse_platform(
    capture: bytes, *, python: str, litert_package: str = "auto", device: str = "the device"
) -> Platform:
    """Read what SCRIPT printed. Raises DeviceError: the architecture is not to be seen."""
    said = {source: lines[0].strip() for source, lines in parse_sources(capture).items()}
    arch = _arch(said.get("elf", ""), said.get("machine", ""))
    if not arch:
        raise DeviceError(
            f"{device}: its architecture is unknown", hint="`uname -m` must work on the device"
        )
    version = _matching(r"3\.[0-9]{1,2}", said.get("python", ""))
    return Platform(
        arch=arch,
        python=python if version else None,
        glibc=_matching(
            r"(?<=^glibc )[0-9]\.[0-9]{1,3}", said.get("glibc") or said.get("confstr", "")
        ),
        python_version=version,
        numpy=_matching(r"[0-9]+(\.[0-9]+)*", said.get("numpy", "")),
        litert_package=litert_package,
    )


def elf_machine(header: str) -> str | None:
    """The architecture of a program, from the first 20 bytes of its ELF file in hexadecimal:
    e_machine, two bytes at offset 18, low byte first."""
    return ELF_MACHINES.get(int(header[38:40] + header[36:38], 16))


def _arch(elf: str, machine: str) -> str | None:
    """The program's own; the kernel's name where the header cannot be read, or for the kind of
    32-bit ARM."""
    header = _matching(r"7f454c46[0-9a-f]{32}", elf)
    found = elf_machine(header) if header else None
    if found == "arm":
        return machine if machine in ("armv6l", "armv7l") else "armv7l"
    return found or _matching(r"[a-z0-9_]{1,20}", machine)


def _matching(pattern: str, text: str) -> str | None:
    found = re.search(rf"{pattern}$", text)
    return found[0] if found else None
