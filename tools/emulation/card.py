"""The image of a card as a distribution would publish it: partitioned, with Debian's cloud-init,
and with no user, key or runtime in it.

Its kernel and initial ramdisk lie on the boot partition, as a Pi's do; qemu, which has no firmware
that reads them there, gets copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tools.emulation.programs import run

MIB = 1 << 20
BOOT_MIB, ROOT_MIB = 48, 400
BOOT_AT_MIB = 1
SECTOR_BYTES = 512


def make(root: Path, boot: Sequence[Path], card: Path) -> None:
    """Make the image `card` from a root directory and the files of its boot partition. Raises
    RuntimeError."""
    root_at_mib = BOOT_AT_MIB + BOOT_MIB
    with card.open("wb") as stream:
        stream.truncate((root_at_mib + ROOT_MIB) * MIB)
    layout = [
        f"start={at}MiB, size={size}MiB, type={kind}"
        for at, size, kind in ((BOOT_AT_MIB, BOOT_MIB, "c"), (root_at_mib, ROOT_MIB, "83"))
    ]
    run("sfdisk", "--quiet", str(card), stdin="\n".join(["label: dos", *layout, ""]))
    run(
        "mkfs.vfat",
        "-n",
        "bootfs",
        "--offset",
        str(BOOT_AT_MIB * MIB // SECTOR_BYTES),
        str(card),
        str(BOOT_MIB * 1024),
    )
    run("mcopy", "-i", f"{card}@@{BOOT_AT_MIB * MIB}", *map(str, boot), "::/")
    run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-m",
        "0",
        "-L",
        "rootfs",
        "-d",
        str(root),
        "-E",
        f"offset={root_at_mib * MIB}",
        str(card),
        f"{ROOT_MIB}M",
    )
