"""Programs of the user's that measure in place of edgekit's runners: whether a device can run one,
by its ELF header. Starts none."""

from __future__ import annotations

import re

from edgekit.devices import Device
from edgekit.errors import DeviceError
from edgekit.runners.board_platform import TIMEOUT_S
from edgekit.runners.elf import elf_machine
from edgekit.runners.runtime import Platform

SCRIPT = r"""
path=$(command -v "$1") && [ -f "$path" ] && [ -x "$path" ] || exit 3
head -c 20 "$path" | od -An -v -t x1 | tr -d ' \n'
"""
MISSING = 3
MAY_RUN = {
    "aarch64": ("aarch64", "arm"),
    "x86_64": ("x86_64", "i686"),
    "armv7l": ("arm",),
    "armv6l": ("arm",),
}
"""Architecture of a system to those of programs; others run their own only. 64-bit systems may run
32-bit programs."""


def require_program(device: Device, program: str, platform: Platform) -> None:
    """Look at a program on a device before anything is sent. One that is no ELF file, such as a
    script, is left to the run.

    Raises DeviceError: not there, not executable, or of another architecture.
    """
    done = device.run(
        ["sh", "-c", SCRIPT, "edgekit", program], timeout_s=TIMEOUT_S, max_stdout_bytes=1 << 10
    )
    if done.exit_code == MISSING:
        raise DeviceError(
            f"{device.name}: {program}: no such program, or not executable",
            hint="see runners in the target; push it, then chmod 755",
        )
    header = re.fullmatch(rb"[0-9a-f]{40}", done.stdout)
    built_for = elf_machine(bytes.fromhex(header[0].decode())) if header else None
    if built_for is not None and built_for not in MAY_RUN.get(platform.arch, (platform.arch,)):
        hint = f"build it for {platform.arch}, or name another one in the target's runners"
        raise DeviceError(
            f"{device.name}: {program} is a program for {built_for}, the device runs"
            f" {platform.arch}",
            hint=hint,
        )
