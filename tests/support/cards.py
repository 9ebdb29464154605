"""Cards: image files with a partition table, a FAT boot partition and an ext4 root."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgekit.flash.disk import Disk

MIB = 1 << 20

BOOT, ROOT = (1 * MIB, 32 * MIB), (33 * MIB, 24 * MIB)

STATUS = """Package: libc6
Status: install ok installed
Architecture: arm64
Multi-Arch: same
Version: 2.36-9+deb12u9

Package: python3-minimal
Status: install ok installed
Architecture: arm64
Version: 3.11.2-1+b1
"""


def run(*argv: str | Path, stdin: str = "") -> str:
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run(
        [str(part) for part in argv],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return done.stdout + done.stderr


def on_root(card: Disk, command: str) -> str:
    """What debugfs says of the root file system."""
    return run("debugfs", "-R", command, f"{card.path}?offset={ROOT[0]}")


def is_clean(card: Disk) -> bool:
    return "UNEXPECTED INCONSISTENCY" not in run("e2fsck", "-fn", f"{card.path}?offset={ROOT[0]}")
