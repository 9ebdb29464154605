"""Memory and processors of a container, by the files of its control groups as kernels write
them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.machine_limits import usable_cores, usable_memory_bytes

INSTALLED = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
NO_LIMIT = "9223372036854771712"
MEGABYTE = 1 << 20


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, content in files.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(f"{content}\n")
    return root


@pytest.mark.parametrize(
    ("groups", "files", "megabytes"),
    [
        ("0::/\n", {"memory.max": str(64 * MEGABYTE)}, 64),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": str(64 * MEGABYTE)}, 64),
        (
            "0::/a/b\n",
            {"a/b/memory.max": str(48 * MEGABYTE), "a/memory.max": str(64 * MEGABYTE)},
            48,
        ),
        ("0::/../../host\n", {"memory.max": str(32 * MEGABYTE)}, 32),
        # Version 1 in a container: the path is the host's, and the group itself is on top.
        (
            "5:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n",
            {"memory/memory.limit_in_bytes": str(16 * MEGABYTE)},
            16,
        ),
        (
            "5:cpuset,memory:/user\n0::/user\n",
            {
                "memory/user/memory.limit_in_bytes": str(16 * MEGABYTE),
                "memory/memory.limit_in_bytes": NO_LIMIT,
            },
            16,
        ),
    ],
)
def test_the_memory_of_a_group(
    groups: str, files: dict[str, str], megabytes: int, tmp_path: Path
) -> None:
    assert usable_memory_bytes(machine(tmp_path, groups, files)) == megabytes * MEGABYTE


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/\n", {"memory.max": "max"}),
        ("0::/\n", {}),
        ("5:memory:/\n", {"memory/memory.limit_in_bytes": NO_LIMIT}),
        ("nonsense\n\n::\n", {"memory.max": "many"}),
        ("", {}),
    ],
)
def test_without_a_limit_it_is_what_is_installed(
    groups: str, files: dict[str, str], tmp_path: Path
) -> None:
    assert usable_memory_bytes(machine(tmp_path, groups, files)) == INSTALLED


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/a\n", {"a/cpu.max": "100000 100000"}, 1),
        ("0::/a\n", {"a/cpu.max": "50000 100000"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000"}, 1),
        (
            "4:cpu,cpuacct:/\n",
            {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"},
            1,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/a\n", {"a/cpu.max": "max 100000"}, None),
        ("0::/a\n", {"a/cpu.max": "100000 0"}, None),
        ("", {}, None),
    ],
)
def test_the_processors_of_a_group(
    groups: str, files: dict[str, str], cores: int | None, tmp_path: Path
) -> None:
    allowed = len(os.sched_getaffinity(0))
    assert usable_cores(machine(tmp_path, groups, files)) == (cores or allowed)


def test_this_machine_has_some_of_both() -> None:
    assert 0 < usable_memory_bytes() <= INSTALLED
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))
