"""Native runners: one C++ core and an engine per runtime, compiled against the shared libraries of
a wheel and kept in the cache.

Owns compilers, flags that all engines share, and the cache's key; which libraries an engine needs
is its module's (native.py, litert_native.py). What is compiled is the same program wherever edgekit
is installed."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.manifest import RuntimeName
from edgekit.cache import content_key
from edgekit.cancel import Cancel
from edgekit.devices.local import LocalDevice
from edgekit.errors import DeviceError, RunnerError, TransportError
from edgekit.hashing import sha256_file
from edgekit.progress import Progress
from edgekit.runners.build_cache import building, is_ready, read_listing, write_listing
from edgekit.runners.elf import HEADER_BYTES, elf_machine
from edgekit.runners.runtime import DIRECTORY, Runtime

SOURCES = Path(__file__).parent / "on_board" / "native"
CORE = "core"
PROGRAM = "edgekit_runner"
OLDEST_GLIBC = "2.28"
"""That of the executorch and ai-edge-litert wheels (manylinux_2_28)."""
ARCHITECTURES = ("aarch64", "x86_64")
COMPILE_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Engine:
    """A runtime's part of a native runner. `flags` are the compiler's and the linker's, `libraries`
    what the program is linked with and takes along, both from the folder `package` of a wheel named
    `distribution`; `label` is the runtime's name for people."""

    runtime: RuntimeName
    label: str
    distribution: str
    version: str
    package: Path
    libraries: tuple[Path, ...]
    flags: tuple[str, ...]


def native_runtime(
    engine: Engine, arch: str, *, portable: bool, cache: Path, progress: Progress
) -> Runtime:
    """The runner of an engine, compiled when the cache does not have it (2 s with g++, about a
    minute the first time with zig).

    `portable` asks for a program that runs on machines as old as the wheel's libraries do (glibc
    2.28), which g++ cannot promise. Raises RunnerError."""
    for library in engine.libraries:
        _require_arch(library, arch, engine.distribution)
    flags = _flags(engine)
    settings = [flag.replace(str(engine.package), "").replace(str(SOURCES), "") for flag in flags]
    key = content_key(
        _source_digest(engine.runtime),
        engine.version,
        arch,
        portable,
        settings,
        [sha256_file(path) for path in engine.libraries],
    )
    kind = "portable" if portable else "native"
    home = cache / "runtimes" / f"{engine.runtime}-{engine.version}-{arch}-{kind}-{key[:12]}"
    if not is_ready(home):
        compiler = _compiler(engine, arch, portable, cache)
        with building(home, "compiles the runner", progress) as build:
            if build is not None:
                _compile(engine, compiler, flags, build / PROGRAM, progress)
                for library in engine.libraries:
                    shutil.copyfile(library, build / library.name)
                write_listing(build)
    return Runtime(
        engine.runtime,
        engine.version,
        arch,
        read_listing(home),
        ("env", f"LD_LIBRARY_PATH={DIRECTORY}", f"{DIRECTORY}/{PROGRAM}"),
    )


def require_architecture(what: str, arch: str, *, otherwise: str) -> None:
    """Raises RunnerError for an architecture that the wheels have no libraries for."""
    if arch not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise RunnerError(
            f"{what} runs on {known}, the device's programs are {arch}",
            hint=f"use a 64-bit system, or {otherwise}",
        )


@dataclass(frozen=True)
class _Compiler:
    kind: str
    argv: tuple[str, ...]


def _compiler(engine: Engine, arch: str, portable: bool, cache: Path) -> _Compiler:
    """g++ for this machine, being quick and usually there; zig, which links against any glibc, for
    others and where there is no g++."""
    native = arch == platform.machine() and not portable
    gcc = shutil.which("g++" if native else f"{arch}-linux-gnu-g++")
    zig = importlib.util.find_spec("ziglang")
    if gcc and (native or not zig):
        return _Compiler("gcc", (gcc,))
    if zig:
        environment = (
            "env",
            f"ZIG_GLOBAL_CACHE_DIR={cache / 'zig'}",
            f"ZIG_LOCAL_CACHE_DIR={cache / 'zig'}",
        )
        target = ("-target", f"{arch}-linux-gnu.{OLDEST_GLIBC}")
        return _Compiler("zig", (*environment, sys.executable, "-m", "ziglang", "c++", *target))
    raise RunnerError(
        f"no C++ compiler for {arch}, and the {engine.label} runner is to be built",
        hint="pip install ziglang, or install g++",
    )


def _flags(engine: Engine) -> list[str]:
    return [
        *("-std=c++17", "-O2", "-s", "-fvisibility=hidden"),
        f'-DEDGEKIT_{engine.runtime.upper()}_VERSION="{engine.version}"',
        *(
            f"-ffile-prefix-map={SOURCES}=edgekit",
            f"-ffile-prefix-map={engine.package}={engine.runtime}",
        ),  # the same program wherever edgekit is installed
        str(SOURCES / engine.runtime / "runner.cpp"),
        *engine.flags,
        "-Wl,-rpath,$ORIGIN",
    ]


def _compile(
    engine: Engine, compiler: _Compiler, flags: list[str], program: Path, progress: Progress
) -> None:
    task = f"compile the {engine.label} runner ({compiler.kind})"
    progress(task, 0, 1)
    started = time.monotonic()
    try:
        # Whoever shows progress may also end the work: see workflow/fleet.py.
        machine = LocalDevice("this machine", Cancel(lambda: progress(task, 0, 1)))
        done = machine.run(
            [*compiler.argv, *flags, "-o", str(program)], timeout_s=COMPILE_TIMEOUT_S
        )
    except (DeviceError, TransportError) as error:
        raise RunnerError(
            f"the {engine.label} runner cannot be compiled: {error.message}",
            hint="pip install ziglang, or install g++",
        ) from None
    if not done.ok:
        lines = done.stderr.decode(errors="replace").splitlines()
        errors = [line for line in lines if "error" in line.lower()] or ["no message"]
        hint = (
            "install g++ and its headers, or pip install ziglang; a version of"
            f" {engine.distribution} other than the pinned one may not fit"
        )
        details: dict[str, object] = {
            "argv": list(done.argv),
            "stderr": done.stderr.decode(errors="replace")[-8000:],
        }
        raise RunnerError(
            f"the {engine.label} runner does not compile with {compiler.kind}: "
            + "; ".join(errors[:3]),
            hint=hint,
            details=details,
        )
    progress(task, 1, 1, f"{time.monotonic() - started:.1f} s")


def _source_digest(runtime: RuntimeName) -> str:
    digest = hashlib.sha256()
    for path in _sources(runtime):
        name = path.relative_to(SOURCES).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(runtime: RuntimeName) -> Iterator[Path]:
    for folder in (CORE, runtime):
        yield from sorted((SOURCES / folder).iterdir())


def _require_arch(library: Path, arch: str, distribution: str) -> None:
    """Raise RunnerError unless a library is there, and for this architecture."""
    try:
        with library.open("rb") as stream:
            header = stream.read(HEADER_BYTES)
    except OSError:
        raise RunnerError(
            f"{library}: missing from the {distribution} package",
            hint=f"pip install --force-reinstall {distribution}",
        ) from None
    built_for = elf_machine(header)
    if built_for != arch:
        raise RunnerError(
            f"{library.name} of {distribution} is for {built_for or 'another architecture'}, the"
            f" device is {arch}",
            hint=f"give the folder of a wheel of {distribution} for {arch}",
        )
