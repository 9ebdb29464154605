"""A C library and its loader beside a native runner, for machines that have none of the usual kind,
such as phones.

The runner is then started through that loader, so that nothing of the machine but its kernel is
used. The libraries are those of Debian's cross packages (or this machine's own, for one of its
kind), and kept in the cache. Not proven on a phone."""

from __future__ import annotations

import platform
import shutil
from dataclasses import replace
from pathlib import Path

from edgekit.cache import content_key
from edgekit.errors import RunnerError
from edgekit.hashing import sha256_file
from edgekit.progress import Progress
from edgekit.runners.build_cache import building, is_ready, read_listing, write_listing
from edgekit.runners.runtime import DIRECTORY, Runtime

LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
LIBRARIES = (
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libgcc_s.so.1",
    "libstdc++.so.6",
)


def with_own_libc(runtime: Runtime, cache: Path, progress: Progress) -> Runtime:
    """The same runtime with its own C library below `lib`. Raises RunnerError: this machine has
    none for the architecture."""
    libraries = system_libraries(runtime.arch)
    cached = [] if libraries else _cached(runtime.arch, cache)
    if not libraries and not cached:
        packages = " ".join(
            f"{name}-{DEBIAN_NAMES[runtime.arch]}-cross"
            for name in ("libc6", "libgcc-s1", "libstdc++6")
        )
        message = f"the device has no glibc, and this machine has none for {runtime.arch} to send"
        raise RunnerError(message, hint=f"apt-get install {packages}")
    home = (
        cache
        / "runtimes"
        / f"libc-{runtime.arch}-{content_key([sha256_file(path) for path in libraries])[:12]}"
        if libraries
        else cached[-1]
    )
    if not is_ready(home):
        with building(home, "copies a C library", progress) as build:
            if build is not None:
                (build / "lib").mkdir()
                for path in libraries:
                    shutil.copy(path, build / "lib" / path.name)
                write_listing(build)
    through = (
        f"{DIRECTORY}/lib/{LOADERS[runtime.arch]}",
        "--library-path",
        f"{DIRECTORY}:{DIRECTORY}/lib",
    )
    return replace(
        runtime,
        files=(*runtime.files, *read_listing(home)),
        command=(*through, runtime.command[-1]),
    )


def _cached(arch: str, cache: Path) -> list[Path]:
    """C libraries that another machine brought along in its cache."""
    homes = sorted((cache / "runtimes").glob(f"libc-{arch}-*[0-9a-f]"))
    return [home for home in homes if is_ready(home)]


def system_libraries(arch: str) -> list[Path]:
    """The loader and the C and C++ libraries for an architecture on this machine; none unless all
    are there."""
    places = [
        Path(f"/usr/{arch}-linux-gnu/lib"),
        *([Path(f"/lib/{arch}-linux-gnu")] if arch == platform.machine() else []),
    ]
    for place in places:
        paths = [place / name for name in (LOADERS[arch], *LIBRARIES)]
        if all(path.exists() for path in paths):
            return paths
    return []
