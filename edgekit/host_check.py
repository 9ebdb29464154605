"""Is this machine ready for what edgekit does: its Python, the extras against their pins, compiler,
adb, ssh, disk, cache and database, and the command that installs what is missing. Owns the
items; installs nothing, and imports none of the libraries it looks for. Boards are
board/check.py.

Without an extra a part of edgekit is not there, which is a note; an extra that is installed in
part, or in other versions, is a problem."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from edgekit.boards.check import CheckReport
from edgekit.boards.check_items import CheckItem
from edgekit.cache import cache_root
from edgekit.errors import EdgekitError, ExportError, StoreError, UsageError
from edgekit.installing import DISTRIBUTION, install_command
from edgekit.store import open_store
from edgekit.store.database import database_url, shown, sqlite_file
from edgekit.version import __version__

EXTRAS = {
    "export": "builds recipes",
    "audio": "reads recordings",
    "detection": "scores detectors by mAP",
    "report": "makes the HTML report",
    "data": "has data and weights of some shipped recipes",
    "flash": "flashes images compressed by zstd",
    "postgres": "keeps results in PostgreSQL",
    "parquet": "exports results as Parquet",
    "mlflow": "logs results to MLflow",
    "search": "searches the values of a recipe's keys",
}
PROGRAMS = {
    "adb": ("reaches Android devices", "sudo apt-get install adb"),
    "ssh": (
        "is for you to look at boards; edgekit has its own",
        "sudo apt-get install openssh-client",
    ),
    "espeak-ng": ("speaks the data of some shipped recipes", "sudo apt-get install espeak-ng"),
    "git": ("tells which revision a bundle is from", "sudo apt-get install git"),
}
VERSION_TIMEOUT_S = 10
DISK_WARNING_BYTES, DISK_PROBLEM_BYTES = 5 << 30, 500 << 20


def doctor() -> CheckReport:
    """Look at this machine: Python, extras, compiler, programs, cache and results.

    Returns:
        What was looked at, each with a fix where something is wrong.

    Raises:
        Nothing: what fails is an item.

    Example:
        >>> edgekit.doctor().target
        'this machine'
    """
    items = (
        *_installation(),
        *_compiler(),
        *_programs(),
        *_cache(),
        *_database(),
    )
    return CheckReport(
        "this machine", f"{platform.system()} {platform.machine()}, edgekit {__version__}", items
    )


def _installation() -> Iterator[CheckItem]:
    try:
        installed = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        text = "edgekit runs from a checkout: whether it has what it needs is not known"
        yield CheckItem("installation", "note", text, install_command("export"))
        return
    yield from _python(installed["Requires-Python"])
    yield from _extras(installed.get_all("Requires-Dist") or ())


def _python(versions: str) -> Iterator[CheckItem]:
    running, required = platform.python_version(), Requirement(f"python{versions}").specifier
    if running in required:
        yield CheckItem("python", "ok", f"{running}, {sys.executable}")
    else:
        yield CheckItem(
            "python",
            "problem",
            f"{running}, edgekit needs {required}",
            "install a newer Python",
            UsageError.exit_code,
        )


def _extras(written: Iterable[str]) -> Iterator[CheckItem]:
    requirements = [Requirement(text) for text in written]
    for extra, does in EXTRAS.items():
        of_extra = [
            r
            for r in requirements
            if r.name != DISTRIBUTION and r.marker and r.marker.evaluate({"extra": extra})
        ]
        yield _extra(extra, does, of_extra)


def _extra(extra: str, does: str, requirements: list[Requirement]) -> CheckItem:
    check, fix = f"extra {extra}", install_command(extra)
    installed = {requirement: _version(requirement.name) for requirement in requirements}
    missing = [requirement.name for requirement, version in installed.items() if version is None]
    others = [
        f"{r.name} {version} where {r.specifier} is meant"
        for r, version in installed.items()
        if version and not r.specifier.contains(version, True)
    ]
    if others or (missing and extra == "export" and _version("torch")):
        text = "; ".join([*others, *([f"missing: {', '.join(missing)}"] if missing else [])])
        return CheckItem(check, "problem", text, fix, ExportError.exit_code)
    if missing:
        return CheckItem(check, "note", f"not installed: {', '.join(missing)}; it {does}", fix)
    return CheckItem(
        check,
        "ok",
        ", ".join(f"{requirement.name} {version}" for requirement, version in installed.items()),
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _compiler() -> Iterator[CheckItem]:
    """What builds the ExecuTorch runner: g++ for this machine, zig for boards."""
    own, zig = shutil.which("g++"), importlib.util.find_spec("ziglang")
    if own or zig:
        yield CheckItem(
            "C++ compiler",
            "ok",
            ", ".join(
                [
                    *([f"g++ {_said(own, '-dumpfullversion')}"] if own else []),
                    *(["ziglang"] if zig else []),
                ]
            ),
        )
    else:
        yield CheckItem(
            "C++ compiler",
            "warning",
            "none; it builds the runner for .pte files",
            "sudo apt-get install g++, or pip install ziglang",
        )
    if not zig:
        yield CheckItem(
            "cross compiler",
            "note",
            "no ziglang; it builds the runner for boards of another architecture",
            "pip install ziglang",
        )


def _programs() -> Iterator[CheckItem]:
    for program, (does, fix) in PROGRAMS.items():
        path = shutil.which(program)
        if path is None:
            yield CheckItem(program, "note", f"not installed; it {does}", fix)
        else:
            yield CheckItem(
                program, "ok", _said(path, "-V" if program == "ssh" else "--version") or path
            )


def _said(program: str, argument: str) -> str:
    """The first line a program says about its version; empty when it says none."""
    try:
        done = subprocess.run(
            [program, argument],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "").strip()[:100]


def _cache() -> Iterator[CheckItem]:
    try:
        root = cache_root()
    except UsageError as error:
        yield CheckItem("cache", "problem", error.message, error.hint, ExportError.exit_code)
        return
    place = next(path for path in (root, *root.absolute().parents) if path.is_dir())
    if not os.access(place, os.W_OK):
        yield CheckItem(
            "cache",
            "problem",
            f"{root} cannot be written to",
            "set EDGEKIT_CACHE to a directory of yours",
            ExportError.exit_code,
        )
        return
    used_bytes = sum(
        entry.stat().st_size
        for entry in root.rglob("*")
        if entry.is_file() and not entry.is_symlink()
    )
    yield CheckItem(
        "cache",
        "ok",
        f"{root}: {used_bytes >> 20} MiB; deleting it only costs the time to make it again",
    )
    free = shutil.disk_usage(place).free
    if free < DISK_PROBLEM_BYTES:
        yield CheckItem(
            "disk",
            "problem",
            f"{free >> 20} MiB free for the cache",
            "free some space, or set EDGEKIT_CACHE",
            ExportError.exit_code,
        )
    else:
        scarce = free < DISK_WARNING_BYTES
        yield CheckItem(
            "disk",
            "warning" if scarce else "ok",
            f"{free >> 20} MiB free for the cache",
            "free some space" if scarce else "",
        )


def _database() -> Iterator[CheckItem]:
    try:
        url = database_url()
        file = sqlite_file(url)
        if file is not None and not file.exists():
            yield _future(file)
            return
        with open_store() as store:
            yield CheckItem("database", "ok", f"{shown(url)}: {len(store.rows())} measurements")
    except EdgekitError as error:
        yield CheckItem("database", "problem", error.message, error.hint, StoreError.exit_code)


def _future(file: Path) -> CheckItem:
    """A database that is not there yet, and is made with the first measurement."""
    place = next(path for path in file.parents if path.is_dir())
    if os.access(place, os.W_OK):
        return CheckItem("database", "ok", f"{file}: none yet, made with the first measurement")
    return CheckItem(
        "database",
        "problem",
        f"{file} cannot be made",
        "set EDGEKIT_DB to a path or URL of yours",
        StoreError.exit_code,
    )
