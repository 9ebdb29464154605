"""The ExecuTorch runtime: a small native program, compiled against the headers and shared libraries
of the executorch wheel.

It is pinned to the wheel's version, because the C++ interface has no stability promise. What is
compiled once stays in the cache. For another architecture the wheel of the same version is fetched,
and the program is cross-compiled."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import re
import shutil
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgekit.cache import cache_root, content_key
from edgekit.cancel import Cancel
from edgekit.devices.local import LocalDevice
from edgekit.errors import DeviceError, RunnerError, TransportError, UsageError
from edgekit.hashing import sha256_file
from edgekit.installing import install_command
from edgekit.progress import Progress, silent
from edgekit.runners.build_cache import building, is_ready, read_listing, write_listing
from edgekit.runners.elf import HEADER_BYTES, elf_machine
from edgekit.runners.own_libc import with_own_libc
from edgekit.runners.runtime import DIRECTORY, Platform, Runtime, older, public_version
from edgekit.runners.wheels import fetch_wheels

SOURCES = Path(__file__).parent / "on_board" / "native"
LIBRARIES = (
    "executorch_backend_xnnpack",
    "executorch_kernels_optimized",
    "executorch_kernels_quantized",
    "executorch_threadpool",
    "executorch",
)
"""The linker must keep the first three although nothing refers to them: they register themselves
when they are loaded."""
OLDEST_GLIBC = "2.28"
"""That of the executorch and ai-edge-litert wheels (manylinux_2_28)."""
ARCHITECTURES = ("aarch64", "x86_64")
PINNED = "1.5.1"
"""As in the extra `export`, for an installation without it."""
COMPILE_TIMEOUT_S = 900.0


def provide(target: Platform, cache: Path, progress: Progress) -> Runtime:
    """The runner for a machine. Raises RunnerError: no wheel for its architecture, a C library that
    is too old, no compiler."""
    if target.arch not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise RunnerError(
            f"ExecuTorch runs on {known}, the device's programs are {target.arch}",
            hint="use a 64-bit system, or measure .tflite only",
        )
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
    """The native ExecuTorch runner, compiled when the cache does not have it (2 s with g++, about a
    minute the first time with zig).

    `executorch_root` is the `executorch` folder of a wheel for `arch`; default: the installed one
    and this machine. `portable` asks for a program that runs on machines as old as the wheel's
    libraries do (glibc 2.28), which g++ cannot promise. Raises RunnerError."""
    arch = arch or platform.machine()
    root = executorch_root or _installed_or_refuse()
    version = executorch_version(root)
    libraries = [root / "lib" / f"lib{name}.so" for name in LIBRARIES]
    for library in libraries:
        _require_arch(library, arch)
    cache = cache or cache_root()
    flags = _flags(root, version)
    settings = [flag.replace(str(root), "").replace(str(SOURCES), "") for flag in flags]
    key = content_key(
        _source_digest(),
        version,
        arch,
        portable,
        settings,
        [sha256_file(path) for path in libraries],
    )
    home = (
        cache
        / "runtimes"
        / f"executorch-{version}-{arch}-{'portable' if portable else 'native'}-{key[:12]}"
    )
    if not is_ready(home):
        compiler = _compiler(arch, portable, cache)
        with building(home, "compiles the runner", progress) as build:
            if build is not None:
                _compile(compiler, flags, build / "edgekit_runner", progress)
                for library in libraries:
                    shutil.copyfile(library, build / library.name)
                write_listing(build)
    return Runtime(
        "executorch",
        version,
        arch,
        read_listing(home),
        ("env", f"LD_LIBRARY_PATH={DIRECTORY}", f"{DIRECTORY}/edgekit_runner"),
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


@dataclass(frozen=True)
class _Compiler:
    kind: str
    argv: tuple[str, ...]


def _compiler(arch: str, portable: bool, cache: Path) -> _Compiler:
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
        return _Compiler(
            "zig",
            (
                *environment,
                sys.executable,
                "-m",
                "ziglang",
                "c++",
                "-target",
                f"{arch}-linux-gnu.{OLDEST_GLIBC}",
            ),
        )
    raise RunnerError(
        f"no C++ compiler for {arch}, and the ExecuTorch runner is to be built",
        hint="pip install ziglang, or install g++",
    )


def _flags(root: Path, version: str) -> list[str]:
    include = root / "include"
    return [
        *(
            "-std=c++17",
            "-O2",
            "-s",
            "-fvisibility=hidden",
            "-DC10_USING_CUSTOM_GENERATED_MACROS",
            "-DET_EVENT_TRACER_ENABLED",
        ),
        f'-DEDGEKIT_EXECUTORCH_VERSION="{version}"',
        *(
            f"-ffile-prefix-map={SOURCES}=edgekit",
            f"-ffile-prefix-map={root}=executorch",
        ),  # the same program wherever edgekit is installed
        *(
            "-isystem",
            str(include),
            "-isystem",
            str(include / "executorch/runtime/core/portable_type/c10"),
        ),
        str(SOURCES / "edgekit_runner.cpp"),
        *(
            f"-L{root / 'lib'}",
            "-Wl,--no-as-needed",
            *(f"-l{name}" for name in LIBRARIES),
            "-Wl,-rpath,$ORIGIN",
        ),
    ]


def _compile(compiler: _Compiler, flags: list[str], program: Path, progress: Progress) -> None:
    task = f"compile the ExecuTorch runner ({compiler.kind})"
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
            f"the ExecuTorch runner cannot be compiled: {error.message}",
            hint="pip install ziglang, or install g++",
        ) from None
    if not done.ok:
        lines = done.stderr.decode(errors="replace").splitlines()
        errors = [line for line in lines if "error" in line.lower()] or ["no message"]
        hint = (
            "install g++ and its headers, or pip install ziglang; an executorch other than the"
            " pinned one may not fit"
        )
        details: dict[str, object] = {
            "argv": list(done.argv),
            "stderr": done.stderr.decode(errors="replace")[-8000:],
        }
        raise RunnerError(
            f"the ExecuTorch runner does not compile with {compiler.kind}: "
            + "; ".join(errors[:3]),
            hint=hint,
            details=details,
        )
    progress(task, 1, 1, f"{time.monotonic() - started:.1f} s")


def _source_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _require_arch(library: Path, arch: str) -> None:
    """Raise RunnerError unless a library is there, and for this architecture."""
    try:
        with library.open("rb") as stream:
            header = stream.read(HEADER_BYTES)
    except OSError:
        raise RunnerError(
            f"{library}: missing from the executorch package",
            hint="pip install --force-reinstall executorch",
        ) from None
    built_for = elf_machine(header)
    if built_for != arch:
        raise RunnerError(
            f"{library.name} of executorch is for {built_for or 'another architecture'}, the device"
            f" is {arch}",
            hint=f"give the folder of an executorch wheel for {arch}",
        )
