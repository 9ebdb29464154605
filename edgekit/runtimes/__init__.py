"""Runtimes: what must be on a machine so that it can run an artifact. Owns building and collecting them; deployment puts them on a device.

A `Runtime` is a set of files and a way to start them that speaks runner protocol 1. A kind of runtime is one module and one line in `RUNTIMES`.
Neither torch nor a runtime is imported here.
"""

from __future__ import annotations

import importlib
import platform as this_machine
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from edgekit.bundle import sha256_file
from edgekit.errors import RunnerError
from edgekit.progress import Progress, silent

Format = Literal["executorch", "litert"]

RUNTIMES = {"executorch": "edgekit.runtimes.native:provide", "litert": "edgekit.runtimes.litert:provide"}
"""Format to `module:function`; the function takes a Platform and a Progress and returns the Runtime."""

DIRECTORY = "{directory}"
"""Stands for the directory of a runtime's files in its command."""


@dataclass(frozen=True)
class Platform:
    """What decides which runtime a machine can run. `python` is the absolute path of its Python, None if it has none."""

    arch: str
    python: str | None = None
    is_host: bool = False


@dataclass(frozen=True)
class RuntimeFile:
    """A file of a runtime: `name` below the runtime's directory, `path` where it lies on the host."""

    name: str
    path: Path
    sha256: str
    bytes: int
    mode: int


@dataclass(frozen=True)
class Runtime:
    """A runner with all it needs. `version` is that of the runtime library."""

    format: Format
    version: str
    arch: str
    files: tuple[RuntimeFile, ...]
    command: tuple[str, ...]

    def argv(self, directory: str) -> tuple[str, ...]:
        """How to start it when its files are in `directory` (absolute)."""
        return tuple(part.replace(DIRECTORY, directory) for part in self.command)


def host_platform() -> Platform:
    return Platform(arch=this_machine.machine(), python=sys.executable, is_host=True)


def runtime_for(format: Format, platform: Platform, *, exported_by: str | None = None, progress: Progress = silent) -> Runtime:
    """The runtime for artifacts of a format on a machine; built when it is needed for the first time.

    `exported_by` is the version of executorch that exported a .pte, which then must be the installed one: program and runtime belong together.
    Raises RunnerError: nothing to build it from, no compiler, packages of another version or architecture.
    """
    module, _, function = RUNTIMES[format].partition(":")
    runtime = cast(Runtime, getattr(importlib.import_module(module), function)(platform, progress))
    if format == "executorch" and exported_by is not None and public_version(exported_by) != runtime.version:
        hint = f"pip install executorch=={public_version(exported_by)}, or build the bundle again"
        raise RunnerError(f"the artifact was exported by executorch {exported_by}, the installed one is {runtime.version}", hint=hint)
    return runtime


def describe_file(path: Path, name: str, mode: int) -> RuntimeFile:
    return RuntimeFile(name=name, path=path, sha256=sha256_file(path), bytes=path.stat().st_size, mode=mode)


def public_version(version: str) -> str:
    """A version without its local part: `1.5.1+cpu` is `1.5.1`."""
    return version.partition("+")[0]
