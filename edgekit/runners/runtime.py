"""Runtimes: what must be on a machine so that it can run an artifact. Owns building and collecting
them; deployment puts them on a device.

A `Runtime` is a set of files and a way to start them that speaks runner protocol 1. A kind of
runtime is one module and one line in `RUNTIMES`. Neither torch nor a runtime is imported here."""

from __future__ import annotations

import importlib
import json
import platform as this_machine
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from edgekit.bundle.manifest import RuntimeName
from edgekit.cache import cache_root, writing_to
from edgekit.errors import RunnerError
from edgekit.hashing import sha256_file
from edgekit.places import expanded
from edgekit.progress import Progress, silent
from edgekit.runners.needs import needs_of_files, unmet
from edgekit.whole_file import write_whole

RUNTIMES = {
    "executorch": "edgekit.runners.native:provide",
    "litert": "edgekit.runners.litert:provide",
}
"""Runtime to `module:function`; the function takes a Platform, the cache directory and a Progress,
and returns the Runtime."""
FOR_A_FILE = {"litert": "edgekit.runners.litert_choice:for_file"}
"""Runtime to `module:function`, for those whose files do not all run in the same runner. The
function takes a Platform and the file, and returns the Platform with what the file needs, and why,
which is empty where it needs nothing."""
RUNTIME_NAMES: tuple[RuntimeName, ...] = tuple(cast(RuntimeName, name) for name in RUNTIMES)
VERSIONS_BELONG_TOGETHER = {"executorch": "executorch"}
"""By runtime, the library that must run its artifacts in the version that made them."""

LitertChoice = Literal["auto", "native", "python"]

DIRECTORY = "{directory}"
"""Stands for the directory of a runtime's files in its command."""


@dataclass(frozen=True)
class Platform:
    """What decides which runtime a machine can run.

    `arch` is that of its programs, which may differ from its kernel's; `glibc` the version of its C
    library, None if it has another or none that can be used; `python` how to start its Python, None
    if it has none, `python_version` such as `3.11`; `numpy` the version installed there;
    `litert_package` the LiteRT package to provide (`auto`: the newest that has a wheel for it), to
    the runner in Python; `litert_runner` which runner that is (`auto`: the native one where it can
    be had);
    `glibcxx` and `cxxabi` the newest symbols of its C++ library, None where they are not known."""

    arch: str
    python: str | None = None
    is_host: bool = False
    glibc: str | None = None
    python_version: str | None = None
    numpy: str | None = None
    litert_package: str = "auto"
    litert_runner: LitertChoice = "auto"
    glibcxx: str | None = None
    cxxabi: str | None = None

    @property
    def libraries(self) -> dict[str, str | None]:
        """The versions of its C and C++ libraries, by the kind of their symbols."""
        return {"GLIBC": self.glibc, "GLIBCXX": self.glibcxx, "CXXABI": self.cxxabi}


@dataclass(frozen=True)
class RuntimeFile:
    """A file of a runtime: `name` below the runtime's directory, `path` where it lies on the
    host."""

    name: str
    path: Path
    sha256: str
    bytes: int
    mode: int


@dataclass(frozen=True)
class Runtime:
    """A runner with all it needs. `version` is that of the runtime library, `format` what its
    artifacts need, or the name of a program that runs none. `because` says why it is the runner in
    Python, empty for a native one."""

    format: str
    version: str
    arch: str
    files: tuple[RuntimeFile, ...]
    command: tuple[str, ...]
    because: str = ""

    @property
    def brings_c_library(self) -> bool:
        """Whether it is started through a loader of its own (own_libc.py)."""
        return any(file.name.startswith("lib/ld-linux") for file in self.files)

    def argv(self, directory: str) -> tuple[str, ...]:
        """How to start it when its files are in `directory` (absolute)."""
        return tuple(part.replace(DIRECTORY, directory) for part in self.command)


def host_platform() -> Platform:
    return Platform(arch=this_machine.machine(), python=sys.executable, is_host=True)


def runtime_for(
    format: RuntimeName,
    platform: Platform,
    *,
    exported_by: Mapping[str, str] | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Runtime:
    """The runtime for artifacts of a format on a machine, fetched and built when it is needed for
    the first time, then kept in `cache`.

    `exported_by` are the versions of the libraries that made the artifacts. A .pte must be run by
    the version of executorch that made it: program and runtime belong together. Raises RunnerError:
    nothing to build it from, no compiler, no packages for that architecture, C library or
    Python."""
    place = cache or cache_root()
    with writing_to(place):
        runtime = cast(Runtime, _named(RUNTIMES[format])(platform, place, progress))
    _require_same_version(runtime, exported_by or {})
    _require_libraries(runtime, platform)
    return runtime


def runtimes_for(
    models: Mapping[Path, RuntimeName],
    platform: Platform,
    *,
    exported_by: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> dict[Path, Runtime]:
    """The runtime of each model file by what its content needs, each provided once. Raises as
    `runtime_for`."""
    provided: dict[tuple[RuntimeName, Platform], Runtime] = {}
    runtimes: dict[Path, Runtime] = {}
    for model, format in models.items():
        needed, because = platform, ""
        if format in FOR_A_FILE:
            needed, because = _named(FOR_A_FILE[format])(platform, model)
        if (format, needed) not in provided:
            provided[format, needed] = runtime_for(
                format, needed, exported_by=exported_by, progress=progress
            )
        runtime = provided[format, needed]
        runtimes[model] = replace(runtime, because=because) if because else runtime
    return runtimes


def _named(entry: str) -> Any:
    module, _, function = entry.partition(":")
    return getattr(importlib.import_module(module), function)


def _require_libraries(runtime: Runtime, platform: Platform) -> None:
    """Raises RunnerError where files of a runtime need a newer C or C++ library than a machine has.
    One without glibc gets its own, and so may one with an old."""
    if platform.is_host or runtime.brings_c_library:
        return
    lacking = unmet(needs_of_files(file.path for file in runtime.files), platform.libraries)
    if lacking:
        raise RunnerError(
            f"{runtime.format} {runtime.version} needs {lacking} of the device's libraries",
            hint="update the system on the device, such as to Debian 12",
        )


def _require_same_version(runtime: Runtime, exported_by: Mapping[str, str]) -> None:
    """Raises RunnerError for artifacts that another version of the runtime's library made, where
    they belong together."""
    library = VERSIONS_BELONG_TOGETHER.get(runtime.format)
    made_by = exported_by.get(library) if library else None
    if made_by is not None and public_version(made_by) != runtime.version:
        raise RunnerError(
            f"the artifact was exported by {library} {made_by}, the installed one is"
            f" {runtime.version}",
            hint=f"pip install {library}=={public_version(made_by)}, or build the bundle again",
        )


def prepare(
    platform: Platform,
    *,
    formats: Sequence[RuntimeName] = RUNTIME_NAMES,
    offline_cache: Path | None = None,
    progress: Progress = silent,
) -> tuple[Runtime, ...]:
    """Make the runtimes for a machine ahead, so that nothing is fetched or compiled when it is set
    up.

    `offline_cache` is a directory that can be carried to a machine without internet and given there
    again; in it, `runtimes.json` lists every file a device gets, with its size and SHA-256.
    Default: the user's cache. Raises RunnerError."""
    if offline_cache is not None:  # pip and zig run elsewhere
        offline_cache = expanded(str(offline_cache), "offline_cache")
    runtimes = tuple(
        runtime_for(format, platform, cache=offline_cache, progress=progress) for format in formats
    )
    if offline_cache is not None:
        listing = {_listed_as(runtime): as_dict(runtime) for runtime in runtimes}
        path = offline_cache / "runtimes.json"
        known = json.loads(path.read_text()) if path.is_file() else {}
        write_whole(path, json.dumps(known | listing, indent=1) + "\n")
    return runtimes


def _listed_as(runtime: Runtime) -> str:
    kind = "-python" if runtime.because else ""
    return f"{runtime.format}{kind}-{runtime.arch}-{runtime.version}"


def as_dict(runtime: Runtime) -> dict[str, object]:
    """A runtime as plain JSON values, its files without where they lie on this machine."""
    return {
        "format": runtime.format,
        "version": runtime.version,
        "arch": runtime.arch,
        "bytes": sum(file.bytes for file in runtime.files),
        "files": [
            {"name": file.name, "bytes": file.bytes, "sha256": file.sha256}
            for file in runtime.files
        ],
    }


def describe_file(path: Path, name: str, mode: int) -> RuntimeFile:
    return RuntimeFile(
        name=name, path=path, sha256=sha256_file(path), bytes=path.stat().st_size, mode=mode
    )


def public_version(version: str) -> str:
    """A version without its local part: `1.5.1+cpu` is `1.5.1`."""
    return version.partition("+")[0]


def older(version: str, than: str) -> bool:
    """Whether a version of numbers and dots is older than another; one that is not understood
    counts as older."""
    numbers = [
        [int(part) if part.isdigit() else -1 for part in text.split(".")]
        for text in (version, than)
    ]
    return numbers[0] < numbers[1]
