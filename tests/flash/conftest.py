"""Cards: image files with a partition table, a FAT boot partition and an ext4 root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgekit.flash.disk import Disk
from tests.tiers import cannot_run

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


@pytest.fixture
def make_card(tmp_path: Path) -> Callable[..., Disk]:
    """Makes cards. A test that has none needs no programs."""
    if not all(
        shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
        for name in ("sfdisk", "mcopy", "mkfs.vfat", "debugfs")
    ):
        cannot_run("needs apt-get install fdisk mtools dosfstools e2fsprogs")

    def make(boot: Mapping[str, str], root: Mapping[str, str], name: str = "card.img") -> Disk:
        """A card with these files."""
        card, tree = tmp_path / name, tmp_path / f"{name}.root"
        with card.open("wb") as stream:
            stream.truncate(ROOT[0] + ROOT[1])
        layout = "".join(
            f"start={start // 512}, size={size // 512}, type={kind}\n"
            for (start, size), kind in ((BOOT, "c"), (ROOT, "83"))
        )
        run("sfdisk", "-q", card, stdin=f"label: dos\n{layout}")
        run("mkfs.vfat", "--offset", str(BOOT[0] // 512), card, str(BOOT[1] // 1024))
        for path, content in boot.items():
            (tmp_path / "file").write_text(content)
            run("mcopy", "-i", f"{card}@@{BOOT[0]}", tmp_path / "file", f"::/{path}")
        for path, content in {"var/lib/dpkg/status": STATUS, **root}.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(content)
        run(
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-d",
            tree,
            "-E",
            f"offset={ROOT[0]},root_owner=0:0",
            card,
            f"{ROOT[1] // 1024}k",
        )
        return Disk(card, card.stat().st_size, True)

    return make


def on_root(card: Disk, command: str) -> str:
    """What debugfs says of the root file system."""
    return run("debugfs", "-R", command, f"{card.path}?offset={ROOT[0]}")


def is_clean(card: Disk) -> bool:
    return "UNEXPECTED INCONSISTENCY" not in run("e2fsck", "-fn", f"{card.path}?offset={ROOT[0]}")
