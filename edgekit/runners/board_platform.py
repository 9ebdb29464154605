"""Which runtimes a device can run: its architecture, C library and Python. Owns no other facts
(edgekit/devices/facts.py).

The architecture is the one in the ELF header of a program on the device, not the kernel's: a 64-bit
kernel below 32-bit programs is common on boards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from edgekit.devices import Device
from edgekit.devices.fact_parsing import parse_sources
from edgekit.devices.fact_scripts import Section, ask
from edgekit.devices.target import Target
from edgekit.errors import DeviceError
from edgekit.runners.elf import elf_machine
from edgekit.runners.needs import newest
from edgekit.runners.runtime import Platform, host_platform

TIMEOUT_S = 60.0
SCRIPT = r"""
echo "machine:$(uname -m)"
echo "elf:$(head -c 20 /proc/self/exe | od -An -v -t x1 | tr -d ' \n')"
echo "glibc:$(getconf GNU_LIBC_VERSION 2>/dev/null)"
for file in /usr/lib/*/libstdc++.so.6 /usr/lib64/libstdc++.so.6 /usr/lib/libstdc++.so.6; do
  [ -r "$file" ] || continue
  symbols=$(LC_ALL=C tr -c 'A-Za-z0-9_.' '\n' <"$file" | grep -E '^(GLIBCXX|CXXABI)_[0-9.]+$')
  echo "libstdcxx:$(head -c 20 "$file" | od -An -v -t x1 | tr -d ' \n')" $symbols
done
"$1" -I -c '
import sys
print("python:%d.%d" % sys.version_info[:2])
import os
print("confstr:" + (os.confstr("CS_GNU_LIBC_VERSION") or ""))
from importlib.metadata import version
print("numpy:" + version("numpy"))
' 2>/dev/null
"""
"""PYTHON."""


def platform_of(target: Target, device: Device) -> Platform:
    """Ask a device what it can run; for this machine nothing is asked. Raises what `ask` raises,
    and DeviceError (not understood)."""
    if target.kind == "local":
        return replace(host_platform(), litert_runner=target.runners.litert.choice)
    return platform_in(ask(device, platform_section(target)), target, device.name)


def platform_section(target: Target) -> Section:
    """What to ask a board for `platform_in`."""
    python = target.runners.litert.python.replace("~/", "./", 1)
    return Section(SCRIPT, (python,))


def platform_in(answer: bytes, target: Target, device: str) -> Platform:
    """The platform of a target's board in its answer. Raises DeviceError (not understood)."""
    litert = target.runners.litert
    platform = parse_platform(
        answer, python=litert.python, litert_package=litert.package, device=device
    )
    return replace(platform, litert_runner=litert.choice)


def parse_platform(
    capture: bytes, *, python: str, litert_package: str = "auto", device: str = "the device"
) -> Platform:
    """Read what SCRIPT printed. Raises DeviceError: no architecture in it."""
    answers = {source: lines[0].strip() for source, lines in parse_sources(capture).items()}
    arch = _arch(answers.get("elf", ""), answers.get("machine", ""))
    if not arch:
        raise DeviceError(
            f"{device}: its architecture is unknown", hint="`uname -m` must work on the device"
        )
    version = _matching(r"3\.[0-9]{1,2}", answers.get("python", ""))
    symbols = newest(_symbols(capture, arch))
    return Platform(
        arch=arch,
        python=python if version else None,
        glibc=_matching(
            r"(?<=^glibc )[0-9]\.[0-9]{1,3}", answers.get("glibc") or answers.get("confstr", "")
        ),
        python_version=version,
        numpy=_matching(r"[0-9]+(\.[0-9]+)*", answers.get("numpy", "")),
        litert_package=litert_package,
        glibcxx=symbols.get("GLIBCXX"),
        cxxabi=symbols.get("CXXABI"),
    )


def _symbols(capture: bytes, arch: str) -> Iterator[str]:
    """The versions of symbols of the C++ library for an architecture; a machine may have it for
    several."""
    for line in parse_sources(capture).get("libstdcxx", ()):
        header, _, symbols = line.partition(" ")
        machine = _elf_machine(header)
        if machine == arch or (machine == "arm" and arch in ("armv6l", "armv7l")):
            yield from symbols.split()


def _elf_machine(header: str) -> str | None:
    """The architecture in the first bytes of an ELF file, as hexadecimal digits."""
    digits = _matching(r"[0-9a-f]{40}", header)
    return elf_machine(bytes.fromhex(digits)) if digits else None


def _arch(elf: str, machine: str) -> str | None:
    """The program's own; the kernel's name where the header cannot be read, or for the kind of
    32-bit ARM."""
    program = _elf_machine(elf)
    if program == "arm":
        return machine if machine in ("armv6l", "armv7l") else "armv7l"
    return program or _matching(r"[a-z0-9_]{1,20}", machine)


def _matching(pattern: str, text: str) -> str | None:
    match = re.search(rf"{pattern}$", text)
    return match[0] if match else None
