"""How much of this machine a process may use: its memory and its processors, also inside a
container, whose limits are those of its control groups (cgroups, versions 1 and 2: kernel's
Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/). Groups are nested, and each limit holds."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_memory_bytes(root: Path = Path("/")) -> int:
    """The memory that is installed, or less where a control group allows less."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (
        _number(group / file)
        for group in _groups(root, "memory")
        for file in ("memory.max", "memory.limit_in_bytes")
    )
    return min([installed, *(limit for limit in limits if limit is not None)])


def usable_cores(root: Path = Path("/")) -> int:
    """The processors that this process may run on, or fewer where a control group allows less of
    their time; at least 1."""
    cores: float = len(os.sched_getaffinity(0))
    for group in _groups(root, "cpu"):
        quota, period = _quota(group)
        if quota is not None and period:
            cores = min(cores, quota / period)
    return max(1, math.floor(cores))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The directories of the groups that this process is in, each with those around it. In a
    container the path may be the host's; then only the outermost is there."""
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = mount / controller if controllers else mount
        parts = [part for part in path.split("/") if part]
        if ".." in parts:
            parts = []
        for depth in range(len(parts) + 1):
            yield top.joinpath(*parts[:depth])


def _quota(group: Path) -> tuple[int | None, int | None]:
    """Microseconds of processor time in a period, and the period."""
    version2 = _text(group / "cpu.max").split()
    if len(version2) == 2:
        return _parsed(version2[0]), _parsed(version2[1])
    return _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")


def _number(file: Path) -> int | None:
    return _parsed(_text(file).strip())


def _parsed(text: str) -> int | None:
    """None for `max`, for -1, and where there is nothing."""
    return int(text) if text.isascii() and text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
