"""Cards: image files with a partition table, a FAT boot partition and an ext4 root."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgekit.flash.disk import Disk
from tests.support.cards import BOOT, ROOT, STATUS, run
from tests.support.tiers import cannot_run


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
