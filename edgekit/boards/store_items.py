"""What a board's store and the place it lies at mean for deployment: an item each, with the command
that fixes it. Pure: asks no board."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from edgekit.boards.check_items import CheckItem
from edgekit.boards.store_probe import StoreProbe
from edgekit.bundle.manifest import RuntimeName
from edgekit.devices.target import Target
from edgekit.errors import DeviceError, ResultError
from edgekit.runners.native import wanted_version
from edgekit.runners.runtime import VERSIONS_BELONG_TOGETHER

SUFFIXES: dict[RuntimeName, str] = {"executorch": ".pte", "litert": ".tflite"}
DISK_WARNING_BYTES, DISK_PROBLEM_BYTES = 500 << 20, 50 << 20
IN_MEMORY = ("tmpfs", "ramfs", "rootfs")


def of_disk(store: StoreProbe, target: Target) -> CheckItem:
    """Whether the work directory can be written to, and how much room there is."""
    where, filesystem = target.workdir, store.mount.filesystem
    if store.unwritten or not store.writable:
        return _not_writable(store, target)
    if store.free_kib is None:
        return CheckItem("disk", "unknown", f"{where} can be written to; free space is unknown")
    text = f"{store.free_kib >> 10} MiB free for {where}"
    if store.free_kib < DISK_PROBLEM_BYTES >> 10:
        fix = "free some space, or set workdir in the target to another disk"
        return CheckItem("disk", "problem", text, fix, DeviceError.exit_code)
    if filesystem in IN_MEMORY:
        text += f", in memory ({filesystem}): gone after a restart, and not free for models"
        return CheckItem("disk", "warning", text, "set workdir in the target to a disk")
    if store.free_kib < DISK_WARNING_BYTES >> 10:
        return CheckItem("disk", "warning", text, "free some space")
    return CheckItem("disk", "ok", text)


def _not_writable(store: StoreProbe, target: Target) -> CheckItem:
    text, mount = f"{target.workdir} cannot be written to", store.mount
    fix = "set workdir in the target to a directory that its user may write to"
    if "ro" in mount.options:
        text += f": {mount.point} is mounted read-only"
        fix = "set workdir in the target to a directory on another mount"
    elif store.unwritten:
        text += f": {store.unwritten}"
    if re.search(r"No space left|quota", store.unwritten):
        fix = "free some space or some files, or set workdir in the target to another disk"
    return CheckItem("disk", "problem", text, fix, DeviceError.exit_code)


def of_programs(store: StoreProbe, target: Target) -> CheckItem:
    """Whether a program starts in the work directory, where runtimes are kept."""
    if store.starts:
        return CheckItem("programs", "ok", f"start in {target.workdir}")
    if store.starts is None:
        return CheckItem("programs", "unknown", f"none could be tried in {target.workdir}")
    if "noexec" in store.mount.options:
        return CheckItem(
            "programs",
            "problem",
            f"{target.workdir} is on a noexec mount ({store.mount.point}): no program starts there",
            "set workdir in the target to a directory on another mount",
            DeviceError.exit_code,
        )
    return CheckItem(
        "programs",
        "problem",
        f"none starts in {target.workdir} (exit code {store.refused})",
        "set workdir in the target to another directory; the system's security policy may say why",
        DeviceError.exit_code,
    )


def of_store(store: StoreProbe, target: Target) -> Iterator[CheckItem]:
    """The bundles and runtimes that are on the board."""
    deploy = f"edgekit deploy BUNDLE --target {target.name}"
    for link, missing, fix in (
        ("current", "none yet", deploy),
        ("previous", "none: nothing to roll back to", ""),
    ):
        check = f"{link} bundle"
        tree = store.links.get(link)
        name = re.fullmatch(r"bundles/([0-9a-f]{12})-[0-9a-f]{32}", tree or "")
        if tree is None:
            yield CheckItem(check, "note", missing, fix)
        elif name is None:
            yield CheckItem(check, "problem", "not one of edgekit's", deploy, ResultError.exit_code)
        else:
            yield CheckItem(check, "ok", name[1])
    for format in SUFFIXES:
        yield of_runtime(format, store.runtimes, target)


def of_runtime(format: RuntimeName, installed: Sequence[str], target: Target) -> CheckItem:
    """The runtime for a format. A .pte and the runtime that runs it belong together, so a version
    other than the one this machine exports with is pointed out."""
    check = f"runtime for {SUFFIXES[format]}"
    if program := target.runners.program(format):
        return CheckItem(check, "ok", f"your own: {program}")
    matches = (
        re.fullmatch(rf"{format}-([0-9][0-9A-Za-z.]*)-([a-z0-9_]+)-[0-9a-f]{{32}}", name)
        for name in installed
    )
    runtimes = sorted({(match[1], match[2]) for match in matches if match})
    setup = f"edgekit target setup {target.name}"
    if not runtimes:
        text = "not installed yet; `edgekit bench` installs it when it is needed"
        return CheckItem(check, "note", text, setup)
    text = ", ".join(f"{format} {version} ({arch})" for version, arch in runtimes)
    exporter = wanted_version() if format in VERSIONS_BELONG_TOGETHER else None
    if exporter is not None and exporter not in {version for version, _ in runtimes}:
        text += (
            f"; this machine exports for {exporter}, and `edgekit bench` installs that when needed"
        )
        return CheckItem(check, "note", text, setup)
    return CheckItem(check, "ok", text)
