"""The ExecuTorch runtime: edgekit's native runner with an engine for ExecuTorch, compiled against
the headers and shared libraries of the executorch wheel (compiling.py).

It is pinned to the wheel's version, because the C++ interface has no stability promise. For another
architecture the wheel of the same version is fetched, and the program is cross-compiled."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
import tempfile
import zipfile
from pathlib import Path

from edgekit.cache import cache_root
from edgekit.errors import RunnerError, UsageError
from edgekit.installing import install_command
from edgekit.progress import Progress, silent
from edgekit.runners.build_cache import is_ready, write_listing
from edgekit.runners.compiling import OLDEST_GLIBC, Engine, native_runtime, require_architecture
from edgekit.runners.own_libc import with_own_libc
from edgekit.runners.runtime import Platform, Runtime, older, public_version
from edgekit.runners.wheels import fetch_wheels

LIBRARIES = (
    "executorch_backend_xnnpack",
    "executorch_kernels_optimized",
    "executorch_kernels_quantized",
    "executorch_threadpool",
    "executorch",
)
"""The linker must keep the first three although nothing refers to them: they register themselves
when they are loaded."""
PINNED = "1.5.1"
"""As in the extra `export`, for an installation without it."""


def provide(target: Platform, cache: Path, progress: Progress) -> Runtime:
    """The runner for a machine. Raises RunnerError: no wheel for its architecture, a C library that
    is too old, no compiler."""
    require_architecture("ExecuTorch", target.arch, otherwise="measure .tflite only")
    if target.glibc is not None and older(target.glibc, OLDEST_GLIBC):
        message = f"the device's glibc is {target.glibc}, executorch needs {OLDEST_GLIBC} or newer"
        raise RunnerError(message, hint="update the system on the device (Debian 10 or newer)")
    root = executorch_for(target.arch, cache, progress)
    runtime = native_runner(
        root, target.arch, portable=not target.is_host, cache=cache, progress=progress
    )
    return runtime if target.is_host or target.glibc else with_own_libc(runtime, cache, progress)


def native_runner(
    executorch_root: Path | None = None,
    arch: str = "",
    *,
    portable: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Runtime:
    """The native ExecuTorch runner, see `native_runtime`.

    `executorch_root` is the `executorch` folder of a wheel for `arch`; default: the installed one
    and this machine. Raises RunnerError."""
    root = executorch_root or _installed_or_refuse()
    return native_runtime(
        _engine(root),
        arch or platform.machine(),
        portable=portable,
        cache=cache or cache_root(),
        progress=progress,
    )


def installed_executorch() -> Path | None:
    """The folder of the installed executorch package, found without importing it (which would
    import torch)."""
    spec = importlib.util.find_spec("executorch")
    return next(
        (Path(place) for place in (spec.submodule_search_locations if spec else None) or ()), None
    )


def wanted_version() -> str:
    """The version of executorch whose runtime devices get: that of the installed package."""
    installed = installed_executorch()
    return executorch_version(installed) if installed is not None else PINNED


def executorch_for(arch: str, cache: Path, progress: Progress = silent) -> Path:
    """Headers and libraries of executorch for an architecture: the installed ones, or those of the
    same version's wheel. Raises RunnerError."""
    installed = installed_executorch()
    if installed is not None and arch == platform.machine():
        return installed
    version = wanted_version()
    home = cache / "wheels" / f"executorch-{version}-{arch}"
    if not is_ready(home):
        python = (  # the libraries are the same in all of them
            f"{sys.version_info[0]}.{sys.version_info[1]}"
        )
        wheels = fetch_wheels(
            [f"executorch=={version}"],
            arch=arch,
            python=python,
            glibc=OLDEST_GLIBC,
            cache=cache,
            progress=progress,
        )
        with tempfile.TemporaryDirectory(
            prefix=f".{home.name}-", dir=home.parent, ignore_cleanup_errors=True
        ) as scratch:
            with zipfile.ZipFile(wheels[0]) as wheel:
                parts = ("executorch/include/", "executorch/lib/", "executorch/version.py")
                wheel.extractall(
                    scratch, [name for name in wheel.namelist() if name.startswith(parts)]
                )
            unpacked = Path(scratch) / "executorch"
            write_listing(unpacked)
            if not home.is_dir():
                unpacked.rename(home)
    return home


def _installed_or_refuse() -> Path:
    installed = installed_executorch()
    if installed is None:
        raise UsageError(
            "executorch is not installed; its runner is built from it",
            hint=install_command("export"),
        )
    return installed


def executorch_version(root: Path) -> str:
    """The public version of an executorch wheel, e.g. `1.5.1`."""
    try:
        text = (root / "version.py").read_text()
    except OSError:
        text = ""
    version = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if not version:
        raise RunnerError(
            f"{root}: not the executorch folder of a wheel (no version.py)",
            hint="pip install --force-reinstall executorch",
        )
    return public_version(version[1])


def _engine(root: Path) -> Engine:
    include = root / "include"
    return Engine(
        runtime="executorch",
        label="ExecuTorch",
        distribution="executorch",
        version=executorch_version(root),
        package=root,
        libraries=tuple(root / "lib" / f"lib{name}.so" for name in LIBRARIES),
        flags=(
            *("-DC10_USING_CUSTOM_GENERATED_MACROS", "-DET_EVENT_TRACER_ENABLED"),
            *("-isystem", str(include)),
            *("-isystem", str(include / "executorch/runtime/core/portable_type/c10")),
            *(f"-L{root / 'lib'}", "-Wl,--no-as-needed"),
            *(f"-l{name}" for name in LIBRARIES),
        ),
    )
