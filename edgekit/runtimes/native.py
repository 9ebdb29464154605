"""The ExecuTorch runtime: a small native program, compiled against the headers and shared libraries of the executorch wheel.

It is pinned to the wheel's version, because the C++ interface has no stability promise. What is compiled once stays in the cache. For another
architecture the wheel of the same version is fetched, and the program is cross-compiled. A machine without a C library of the usual kind, such as
a phone, gets one beside the program, with its loader, through which the program is then started.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import re
import shutil
import struct
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle import sha256_file
from edgekit.cache import cache_root, content_key
from edgekit.device.local import LocalDevice
from edgekit.errors import DeviceError, RunnerError, TransportError
from edgekit.progress import Progress, silent
from edgekit.runtimes import DIRECTORY, Platform, Runtime, older, public_version
from edgekit.runtimes.kept import building, read_listing, write_listing
from edgekit.runtimes.wheels import fetch_wheels

SOURCES = Path(__file__).parents[1] / "runner" / "native"
LIBRARIES = ("executorch_backend_xnnpack", "executorch_kernels_optimized", "executorch_kernels_quantized", "executorch_threadpool", "executorch")
"""The linker must keep the first three although nothing refers to them: they register themselves when they are loaded."""
OLDEST_GLIBC = "2.28"
"""That of the executorch and ai-edge-litert wheels (manylinux_2_28)."""
ELF_MACHINES = {62: "x86_64", 183: "aarch64"}
LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
SYSTEM_LIBRARIES = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "libstdc++.so.6")
COMPILE_TIMEOUT_S = 900.0


def provide(target: Platform, cache: Path, progress: Progress) -> Runtime:
    """The runner for a machine. Raises RunnerError: no wheel for its architecture, a C library that is too old, no compiler."""
    if target.is_host:
        return native_runner(cache=cache, progress=progress)
    if target.arch not in ELF_MACHINES.values():
        known = " and ".join(sorted(ELF_MACHINES.values()))
        raise RunnerError(f"ExecuTorch runs on {known}, the device's programs are {target.arch}", hint="use a 64-bit system, or measure .tflite only")
    if target.glibc is not None and older(target.glibc, OLDEST_GLIBC):
        raise RunnerError(
            f"the device's glibc is {target.glibc}, executorch needs {OLDEST_GLIBC} or newer", hint="update the system on the device (Debian 10 or newer)"
        )
    root = None if target.arch == platform.machine() else executorch_for(target.arch, cache, progress)
    return native_runner(root, target.arch, portable=True, with_libc=target.glibc is None, cache=cache, progress=progress)


def native_runner(
    executorch_root: Path | None = None,
    arch: str = "",
    *,
    portable: bool = False,
    with_libc: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Runtime:
    """The native ExecuTorch runner, compiled when the cache does not have it (2 s with g++, about a minute the first time with zig).

    `executorch_root` is the `executorch` folder of a wheel for `arch`; default: the installed one and this machine. `portable` asks for
    a program that runs on machines as old as the wheel's libraries do (glibc 2.28), which g++ cannot promise. `with_libc` brings the loader and
    the C and C++ libraries along. Raises RunnerError.
    """
    arch = arch or platform.machine()
    root = executorch_root or installed_executorch()
    version = executorch_version(root)
    libraries = [root / "lib" / f"lib{name}.so" for name in LIBRARIES]
    for library in libraries:
        _require_arch(library, arch)
    cache = cache or cache_root()
    compiler = _compiler(arch, portable, cache)
    flags = _flags(root, version)
    settings = [flag.replace(str(root), "") for flag in flags]
    system = system_libraries(arch) if with_libc else []
    key = content_key(_source_digest(), version, arch, compiler.kind, settings, [sha256_file(path) for path in (*libraries, *system)])
    home = cache / "runtimes" / f"executorch-{version}-{arch}-{compiler.kind}-{key[:12]}"
    if not home.is_dir():
        with building(home, "compiles the runner", progress) as build:
            if build is not None:
                _compile(compiler, flags, build / "edgekit_runner", progress)
                for library in libraries:
                    shutil.copyfile(library, build / library.name)
                for library in system:
                    (build / "lib").mkdir(exist_ok=True)
                    shutil.copy(library, build / "lib" / library.name)  # the loader must stay executable
                write_listing(build)
    through = (f"{DIRECTORY}/lib/{LOADERS[arch]}", "--library-path", f"{DIRECTORY}:{DIRECTORY}/lib")
    command = through if with_libc else ("env", f"LD_LIBRARY_PATH={DIRECTORY}")
    return Runtime("executorch", version, arch, read_listing(home), (*command, f"{DIRECTORY}/edgekit_runner"))


def installed_executorch() -> Path:
    """The folder of the installed executorch package, found without importing it (which would import torch)."""
    spec = importlib.util.find_spec("executorch")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise RunnerError("executorch is not installed; its runner is built from it", hint="pip install 'edgekit[export]'")
    return Path(places[0])


def executorch_for(arch: str, cache: Path, progress: Progress = silent) -> Path:
    """Headers and libraries of the installed version of executorch for another architecture, from its wheel. Raises RunnerError."""
    version = executorch_version(installed_executorch())
    home = cache / "wheels" / f"executorch-{version}-{arch}"
    if not home.is_dir():
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"  # any has the same libraries; this one is there, as it is installed
        wheels = fetch_wheels([f"executorch=={version}"], arch=arch, python=python, glibc=OLDEST_GLIBC, cache=cache, progress=progress)
        with tempfile.TemporaryDirectory(prefix=f".{home.name}-", dir=home.parent, ignore_cleanup_errors=True) as scratch:
            with zipfile.ZipFile(wheels[0]) as wheel:
                parts = ("executorch/include/", "executorch/lib/", "executorch/version.py")
                wheel.extractall(scratch, [name for name in wheel.namelist() if name.startswith(parts)])
            if not home.is_dir():
                (Path(scratch) / "executorch").rename(home)
    return home


def system_libraries(arch: str) -> list[Path]:
    """The loader and the C and C++ libraries of Debian's cross packages, or of this machine. Raises RunnerError: not installed."""
    places = [Path(f"/usr/{arch}-linux-gnu/lib"), *([Path(f"/lib/{arch}-linux-gnu")] if arch == platform.machine() else [])]
    for place in places:
        found = [place / name for name in (LOADERS[arch], *SYSTEM_LIBRARIES)]
        if all(path.exists() for path in found):
            return found
    packages = " ".join(f"{name}-{DEBIAN_NAMES[arch]}-cross" for name in ("libc6", "libgcc-s1", "libstdc++6"))
    raise RunnerError(f"the device has no glibc, and there is none for {arch} here to bring along", hint=f"apt-get install {packages}")


def executorch_version(root: Path) -> str:
    """The public version of an executorch wheel, e.g. `1.5.1`."""
    try:
        found = re.search(r'^__version__ = "([^"]+)"', (root / "version.py").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if not found:
        raise RunnerError(f"{root}: not the executorch folder of a wheel (no version.py)", hint="pip install --force-reinstall executorch")
    return public_version(found[1])


@dataclass(frozen=True)
class _Compiler:
    kind: str
    argv: tuple[str, ...]


def _compiler(arch: str, portable: bool, cache: Path) -> _Compiler:
    """g++ for this machine, being quick and usually there; zig, which links against any glibc, for others and where there is no g++."""
    native = arch == platform.machine() and not portable
    gcc = shutil.which("g++" if native else f"{arch}-linux-gnu-g++")
    zig = importlib.util.find_spec("ziglang")
    if gcc and (native or not zig):
        return _Compiler("gcc", (gcc,))
    if zig:
        environment = ("env", f"ZIG_GLOBAL_CACHE_DIR={cache / 'zig'}", f"ZIG_LOCAL_CACHE_DIR={cache / 'zig'}")
        return _Compiler("zig", (*environment, sys.executable, "-m", "ziglang", "c++", "-target", f"{arch}-linux-gnu.{OLDEST_GLIBC}"))
    raise RunnerError(f"no C++ compiler for {arch}, and the ExecuTorch runner is to be built", hint="pip install ziglang, or install g++")


def _flags(root: Path, version: str) -> list[str]:
    include = root / "include"
    return [
        *("-std=c++17", "-O2", "-s", "-fvisibility=hidden", "-DC10_USING_CUSTOM_GENERATED_MACROS", "-DET_EVENT_TRACER_ENABLED"),
        f'-DEDGEKIT_EXECUTORCH_VERSION="{version}"',
        *("-isystem", str(include), "-isystem", str(include / "executorch/runtime/core/portable_type/c10")),
        str(SOURCES / "edgekit_runner.cpp"),
        *(f"-L{root / 'lib'}", "-Wl,--no-as-needed", *(f"-l{name}" for name in LIBRARIES), "-Wl,-rpath,$ORIGIN"),
    ]


def _compile(compiler: _Compiler, flags: list[str], program: Path, progress: Progress) -> None:
    task = f"compile the ExecuTorch runner ({compiler.kind})"
    progress(task, 0, 1)
    started = time.monotonic()
    try:
        done = LocalDevice("this machine").run([*compiler.argv, *flags, "-o", str(program)], timeout_s=COMPILE_TIMEOUT_S)
    except (DeviceError, TransportError) as error:
        raise RunnerError(f"the ExecuTorch runner cannot be compiled: {error.message}", hint="pip install ziglang, or install g++") from None
    if not done.ok:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if "error" in line.lower()] or ["no message"]
        hint = "install g++ and its headers, or pip install ziglang; an executorch other than the pinned one may not fit"
        details: dict[str, object] = {"argv": list(done.argv), "stderr": done.stderr.decode(errors="replace")[-8000:]}
        raise RunnerError(f"the ExecuTorch runner does not compile with {compiler.kind}: " + "; ".join(said[:3]), hint=hint, details=details)
    progress(task, 1, 1, f"{time.monotonic() - started:.1f} s")


def _source_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _require_arch(library: Path, arch: str) -> None:
    """Read the machine from the ELF header (e_machine, two bytes at offset 18, little-endian)."""
    try:
        with library.open("rb") as stream:
            header = stream.read(20)
    except OSError:
        raise RunnerError(f"{library}: missing from the executorch package", hint="pip install --force-reinstall executorch") from None
    machine = struct.unpack_from("<H", header, 18)[0] if header[:4] == b"\x7fELF" and len(header) == 20 else 0
    if ELF_MACHINES.get(machine) != arch:
        found = ELF_MACHINES.get(machine, "another architecture")
        hint = f"give the folder of an executorch wheel for {arch}"
        raise RunnerError(f"{library.name} of executorch is for {found}, the device is {arch}", hint=hint)
