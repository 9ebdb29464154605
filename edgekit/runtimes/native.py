"""The ExecuTorch runtime: a small native program, compiled against the headers and shared libraries of the executorch wheel.

It is pinned to the wheel's version, because the C++ interface has no stability promise. What is compiled once stays in the cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import platform
import re
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from edgekit.bundle import sha256_file
from edgekit.cache import cache_root, content_key
from edgekit.device.local import LocalDevice
from edgekit.errors import DeviceError, RunnerError, TransportError
from edgekit.progress import Progress, silent
from edgekit.runtimes import DIRECTORY, Platform, Runtime, RuntimeFile, describe_file, public_version

SOURCES = Path(__file__).parents[1] / "runner" / "native"
LIBRARIES = ("executorch_backend_xnnpack", "executorch_kernels_optimized", "executorch_kernels_quantized", "executorch_threadpool", "executorch")
"""The linker must keep the first three although nothing refers to them: they register themselves when they are loaded."""
OLDEST_GLIBC = "2.28"
"""That of the executorch and ai-edge-litert wheels (manylinux_2_28)."""
ELF_MACHINES = {62: "x86_64", 183: "aarch64"}
COMPILE_TIMEOUT_S = 900.0


def provide(platform: Platform, progress: Progress) -> Runtime:
    return native_runner(arch=platform.arch, portable=not platform.is_host, progress=progress)


def native_runner(executorch_root: Path | None = None, arch: str = "", *, portable: bool = False, progress: Progress = silent) -> Runtime:
    """The native ExecuTorch runner, compiled when the cache does not have it (2 s with g++, about a minute the first time with zig).

    `executorch_root` is the `executorch` folder of a wheel for `arch`; default: the installed one and this machine. `portable` asks for
    a program that runs on machines as old as the wheel's libraries do (glibc 2.28), which g++ cannot promise. Raises RunnerError.
    """
    arch = arch or platform.machine()
    root = executorch_root or installed_executorch()
    version = executorch_version(root)
    libraries = [root / "lib" / f"lib{name}.so" for name in LIBRARIES]
    for library in libraries:
        _require_arch(library, arch)
    compiler = _compiler(arch, portable)
    flags = _flags(root, version)
    settings = [flag.replace(str(root), "") for flag in flags]
    key = content_key(_source_digest(), version, arch, compiler.kind, settings, [sha256_file(path) for path in libraries])
    home = cache_root() / "runtimes" / f"executorch-{version}-{arch}-{compiler.kind}-{key[:12]}"
    if not home.is_dir():
        with _building(home, progress) as build:
            if build is not None:
                _compile(compiler, flags, build / "edgekit_runner", progress)
                for library in libraries:
                    shutil.copyfile(library, build / library.name)
                _write_listing(build)
    return Runtime("executorch", version, arch, _read_listing(home), ("env", f"LD_LIBRARY_PATH={DIRECTORY}", f"{DIRECTORY}/edgekit_runner"))


def installed_executorch() -> Path:
    """The folder of the installed executorch package, found without importing it (which would import torch)."""
    spec = importlib.util.find_spec("executorch")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise RunnerError("executorch is not installed; its runner is built from it", hint="pip install 'edgekit[export]'")
    return Path(places[0])


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


def _compiler(arch: str, portable: bool) -> _Compiler:
    """g++ for this machine, being quick and usually there; zig, which links against any glibc, for others and where there is no g++."""
    native = arch == platform.machine() and not portable
    gcc = shutil.which("g++" if native else f"{arch}-linux-gnu-g++")
    zig = importlib.util.find_spec("ziglang")
    if gcc and (native or not zig):
        return _Compiler("gcc", (gcc,))
    if zig:
        cache = cache_root() / "zig"
        environment = ("env", f"ZIG_GLOBAL_CACHE_DIR={cache}", f"ZIG_LOCAL_CACHE_DIR={cache}")
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


@contextmanager
def _building(home: Path, progress: Progress) -> Iterator[Path | None]:
    """A scratch directory that becomes `home` by one rename when the block is done; None when another process made `home` in the meantime."""
    home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(f"{home}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("wait for another process that compiles the runner", 0, 0)
            fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the kernel when that process ends, however it ends
        if home.is_dir():
            yield None
            return
        with tempfile.TemporaryDirectory(prefix=f".{home.name}-", dir=home.parent, ignore_cleanup_errors=True) as scratch:
            build = Path(scratch) / "build"
            build.mkdir()
            yield build
            build.rename(home)


def _write_listing(build: Path) -> None:
    files = [describe_file(path, path.name, 0o755) for path in sorted(build.iterdir())]
    (build / "files.json").write_text(json.dumps([asdict(file) | {"path": file.name} for file in files], indent=1))


def _read_listing(home: Path) -> tuple[RuntimeFile, ...]:
    return tuple(RuntimeFile(**entry | {"path": home / entry["path"]}) for entry in json.loads((home / "files.json").read_text()))


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
