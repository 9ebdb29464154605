"""The architecture of a program, from its ELF header (System V ABI, chapter 4). Reads no file."""

from __future__ import annotations

HEADER_BYTES = 20
MACHINES = {0x03: "i686", 0x28: "arm", 0x3E: "x86_64", 0xB7: "aarch64", 0xF3: "riscv64"}
"""e_machine to the name that `uname -m` gives such a system."""


def elf_machine(header: bytes) -> str | None:
    """The architecture in the first HEADER_BYTES of a file: e_machine, two bytes at offset 18, low
    byte first. None when it is not an ELF file, or for an architecture that is not in MACHINES."""
    if len(header) < HEADER_BYTES or not header.startswith(b"\x7fELF"):
        return None
    return MACHINES.get(int.from_bytes(header[18:20], "little"))
