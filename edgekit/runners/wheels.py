"""Wheels for other machines: fetched by this one, with pip and the index the user has configured,
and kept. A board itself needs no internet.

Owns which wheels fit a board and where fetched ones lie; knows nothing of what is in them. Installs
nothing."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from edgekit.cancel import Cancel
from edgekit.devices.local import LocalDevice
from edgekit.errors import DeviceError, RunnerError, TransportError
from edgekit.progress import Progress
from edgekit.sanitize import printable

FETCH_TIMEOUT_S = 1800.0
OLDEST_GLIBC_MINOR = 17
"""glibc 2.17 is what manylinux2014 asks for; no wheel of interest asks for less."""
ELSEWHERE = (
    "this machine needs the package index once; without it, copy a prepared cache here and give it"
    " with --offline-cache"
)


def fetch_wheels(
    requirements: Sequence[str],
    *,
    arch: str,
    python: str,
    glibc: str,
    cache: Path,
    progress: Progress,
) -> tuple[Path, ...]:
    """The wheels that fulfil `requirements` (without what these depend on) on a machine, sorted by
    name; kept in `cache` for the next time.

    `python` and `glibc` are versions such as `3.11` and `2.36`. Raises RunnerError: there is none
    for that machine, no index, no pip."""
    request = "\0".join((*sorted(requirements), arch, python, glibc))
    home = (
        cache / "wheels" / f"{arch}-py{python}-{hashlib.sha256(request.encode()).hexdigest()[:12]}"
    )
    wheels = sorted(home.glob("*.whl"))
    if wheels and all(map(_is_whole, wheels)):
        return tuple(wheels)
    if home.is_dir():
        logging.getLogger(__name__).warning("%s is damaged and is fetched anew", home)
        shutil.rmtree(home)
    home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = Path(tempfile.mkdtemp(prefix=".fetch-", dir=home.parent))
    try:
        _download(requirements, arch, python, glibc, scratch, progress)
        if not home.is_dir():
            scratch.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return tuple(sorted(home.glob("*.whl")))


def _is_whole(wheel: Path) -> bool:
    """Whether all that a wheel holds has its checksum."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError):
        return False


def platform_tags(arch: str, glibc: str) -> list[str]:
    """The tags of wheels that run on Linux with this glibc (PEP 600), newest first."""
    major, _, minor = glibc.partition(".")
    if major != "2" or not minor.isdigit():
        raise RunnerError(
            f"glibc {printable(glibc)}: wheels are made for glibc 2",
            hint="use a board with a usual Linux, such as Debian",
        )
    return [f"manylinux_2_{m}_{arch}" for m in range(int(minor), OLDEST_GLIBC_MINOR - 1, -1)] + [
        f"manylinux2014_{arch}"
    ]


def _download(
    requirements: Sequence[str], arch: str, python: str, glibc: str, into: Path, progress: Progress
) -> None:
    if importlib.util.find_spec("pip") is None:
        raise RunnerError(
            "pip is not installed here; it fetches what boards need",
            hint=f"{sys.executable} -m ensurepip",
        )
    task = f"fetch {', '.join(requirements)} for Python {python} on {arch}"
    tags = [part for tag in platform_tags(arch, glibc) for part in ("--platform", tag)]
    progress(task, 0, 1)
    argv = [
        *(
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
            "--only-binary=:all:",
        ),
        *(
            "--implementation",
            "cp",
            "--python-version",
            python,
            *tags,
            "--dest",
            str(into),
            "--",
            *requirements,
        ),
    ]
    try:
        # Whoever shows progress may also end the work: see workflow/fleet.py.
        machine = LocalDevice("this machine", Cancel(lambda: progress(task, 0, 1)))
        done = machine.run(argv, timeout_s=FETCH_TIMEOUT_S)
    except (DeviceError, TransportError) as error:
        raise RunnerError(f"cannot {task}: {error.message}", hint=ELSEWHERE) from None
    if not done.ok:
        lines = done.stderr.decode(errors="replace").splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or ["ERROR: no message"]
        raise RunnerError(
            f"cannot {task}: {printable(errors[-1].removeprefix('ERROR: '))}", hint=ELSEWHERE
        )
    progress(task, 1, 1)
