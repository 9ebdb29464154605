"""LiteRT without Python on the board: edgekit's native runner with an engine for LiteRT, linked
with the shared library of the ai-edge-litert wheel (compiling.py).

The wheel has no headers, and the library's C interface no promise of stability: the engine holds
declarations of its own (on_board/native/litert/interface.hpp), and is built against the release
that they are of. Which files need the runner in Python is litert_choice.py's."""

from __future__ import annotations

import importlib.util
import platform
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

from edgekit.cache import cache_root
from edgekit.errors import RunnerError
from edgekit.progress import Progress, silent
from edgekit.runners.build_cache import is_ready, write_listing
from edgekit.runners.compiling import OLDEST_GLIBC, Engine, native_runtime, require_architecture
from edgekit.runners.needs import needs_of_files, unmet
from edgekit.runners.own_libc import with_own_libc
from edgekit.runners.runtime import Platform, Runtime, public_version
from edgekit.runners.wheels import fetch_wheels

PACKAGE = "ai_edge_litert"
DISTRIBUTION = "ai-edge-litert"
PINNED_VERSION = "2.3.0"
"""As in the extra `export`. The engine's declarations are those of this release and of those that
differ in the last number only."""
LIBRARY = "libLiteRt.so"


def provide_native(target: Platform, cache: Path, progress: Progress) -> Runtime:
    """The native runner for a machine, with a C library of its own where the machine's is none or
    too old. Raises RunnerError: no wheel for its architecture, no compiler, or this machine has
    another release of LiteRT."""
    in_python = "runners.litert.kind: python in the target"
    require_architecture("LiteRT's library", target.arch, otherwise=in_python)
    package = litert_for(target.arch, cache, progress)
    runtime = native_litert(
        package, target.arch, portable=not target.is_host, cache=cache, progress=progress
    )
    if target.is_host or _fits(runtime, target):
        return runtime
    return with_own_libc(runtime, cache, progress)


def native_litert(
    package: Path | None = None,
    arch: str = "",
    *,
    portable: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Runtime:
    """The native LiteRT runner, see `native_runtime`.

    `package` is the folder of ai_edge_litert of a wheel for `arch`; default: the installed one and
    this machine. Raises RunnerError."""
    cache, arch = cache or cache_root(), arch or platform.machine()
    package = package or litert_for(arch, cache, progress)
    engine = Engine(
        runtime="litert",
        label="LiteRT",
        distribution=DISTRIBUTION,
        version=(package / VERSION).read_text() if (package / VERSION).is_file() else _installed(),
        package=package,
        libraries=(package / LIBRARY,),
        flags=(f"-L{package}", "-lLiteRt"),
    )
    return native_runtime(engine, arch, portable=portable, cache=cache, progress=progress)


VERSION = "edgekit-version"
"""Beside the library of a wheel that was fetched."""


def litert_for(arch: str, cache: Path, progress: Progress = silent) -> Path:
    """The folder with LiteRT's library for an architecture: that of the installed package, or of
    the pinned wheel. Raises RunnerError."""
    spec = importlib.util.find_spec(PACKAGE)
    places = (spec.submodule_search_locations if spec else None) or ()
    if places and arch == platform.machine():
        _require_release(_installed())
        return Path(places[0])
    home = cache / "wheels" / f"litert-{PINNED_VERSION}-{arch}"
    if not is_ready(home):
        _fetch(home, arch, cache, progress)
    return home


def _fetch(home: Path, arch: str, cache: Path, progress: Progress) -> None:
    wheels = fetch_wheels(
        [f"{DISTRIBUTION}=={PINNED_VERSION}"],
        arch=arch,
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",  # the library is the same in all
        glibc=OLDEST_GLIBC,
        cache=cache,
        progress=progress,
    )
    with tempfile.TemporaryDirectory(
        prefix=f".{home.name}-", dir=home.parent, ignore_cleanup_errors=True
    ) as scratch:
        with zipfile.ZipFile(wheels[0]) as wheel:
            if f"{PACKAGE}/{LIBRARY}" not in wheel.namelist():
                raise RunnerError(f"{wheels[0].name} has no {LIBRARY}")
            wheel.extract(f"{PACKAGE}/{LIBRARY}", scratch)
        unpacked = Path(scratch) / PACKAGE
        (unpacked / VERSION).write_text(PINNED_VERSION)
        write_listing(unpacked)
        if not home.is_dir():
            unpacked.rename(home)


def _installed() -> str:
    return public_version(metadata.version(DISTRIBUTION))


def _require_release(version: str) -> None:
    series = PINNED_VERSION.rpartition(".")[0]
    if version.rpartition(".")[0] != series:
        raise RunnerError(
            f"edgekit's native LiteRT runner is made for {DISTRIBUTION} {series}, installed is"
            f" {version}",
            hint=f"pip install {DISTRIBUTION}=={PINNED_VERSION}",
        )


def _fits(runtime: Runtime, target: Platform) -> bool:
    """Whether a machine's own C and C++ libraries are new enough, as far as they are known."""
    needs = needs_of_files(file.path for file in runtime.files)
    return target.glibc is not None and not unmet(needs, target.libraries)
