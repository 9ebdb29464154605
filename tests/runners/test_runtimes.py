"""Which runtime a machine gets, how the native one is built and kept, and what is said when it
cannot be."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import threading
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bundle.manifest import RuntimeName
from edgekit.errors import RunnerError
from edgekit.installing import install_command
from edgekit.progress import silent
from edgekit.runners import compiling, native, own_libc
from edgekit.runners.build_cache import LISTING
from edgekit.runners.native import PINNED, executorch_version, installed_executorch, native_runner
from edgekit.runners.own_libc import with_own_libc
from edgekit.runners.runtime import Platform, host_platform, runtime_for
from tests.support.tiers import cannot_run
from tests.support.wheelhouse import make_wheel, only_index


@pytest.fixture(scope="module", autouse=True)
def _executorch() -> None:
    if importlib.util.find_spec("executorch") is None:
        cannot_run(f"needs {install_command('export')}", need="extras")


COMPILER = """#!/bin/sh
# a compiler that is quick: it writes its call into the program, and counts
echo called >>"$COMPILER_LOG"
if [ -n "$COMPILER_FAILS" ]; then
    echo "edgekit_runner.cpp:1: note: nothing"
    echo "edgekit_runner.cpp:2: fatal error: no luck today" >&2
    exit 1
fi
sleep 0.3
while [ "$1" != -o ]; do shift; done
echo program >"$2"
"""


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for g++, and a cache of its own. Returns the log with one line per call."""
    program = tmp_path / "bin" / "g++"
    program.parent.mkdir()
    program.write_text(COMPILER)
    program.chmod(0o755)
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("COMPILER_LOG", str(log))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return log


def installed() -> Path:
    directory = installed_executorch()
    assert directory
    return directory


def calls(log: Path) -> int:
    return len(log.read_text().splitlines())


def test_compiled_once(compiler: Path) -> None:
    steps: list[str] = []
    first = native_runner(
        progress=lambda task, done, total, text="": steps.append(
            f"{task} {done:g}/{total:g} {text}"
        )
    )
    assert first == native_runner()
    assert calls(compiler) == 1
    assert steps[0] == "compile the ExecuTorch runner (gcc) 0/1 "
    assert steps[-1].endswith(" s")
    names = {file.name: file for file in first.files}
    assert len(names) == 6
    assert names["edgekit_runner"].mode == 0o755
    assert all(file.path.stat().st_size == file.bytes for file in first.files)
    assert first.argv("/x") == ("env", "LD_LIBRARY_PATH=/x", "/x/edgekit_runner")
    assert first.version == executorch_version(installed())


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "no listing", "no JSON"])
def test_a_damaged_runtime_is_made_anew(
    compiler: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = native_runner()
    program = next(file.path for file in first.files if file.name == "edgekit_runner")
    if damage == "flipped":
        program.write_bytes(bytes([program.read_bytes()[0] ^ 1]) + program.read_bytes()[1:])
    elif damage == "cut":
        program.write_bytes(program.read_bytes()[:-1])
    elif damage == "missing":
        program.unlink()
    elif damage == "no listing":
        (program.parent / LISTING).unlink()
    else:
        (program.parent / LISTING).write_text("[1]")
    assert native_runner() == first
    assert "is damaged and is made anew" in caplog.text
    assert calls(compiler) == 2
    assert native_runner() == first
    assert calls(compiler) == 2


def test_changed_sources_are_compiled_again(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native_runner()
    copied = tmp_path / "native"
    shutil.copytree(compiling.SOURCES, copied)
    monkeypatch.setattr(compiling, "SOURCES", copied)
    for number, source in enumerate(("core/options.hpp", "executorch/tracer.hpp"), start=2):
        (copied / source).write_text("// changed")
        native_runner()
        assert calls(compiler) == number


@pytest.mark.nightly
def test_where_edgekit_is_installed_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board does not get another runner because another checkout deploys to it. With the real
    compiler."""
    first = native_runner(cache=tmp_path / "cache")
    elsewhere = shutil.copytree(compiling.SOURCES, tmp_path / "elsewhere")
    monkeypatch.setattr(compiling, "SOURCES", elsewhere)
    assert native_runner(cache=tmp_path / "cache") == first
    compiled_there = native_runner(cache=tmp_path / "other cache")
    assert [(file.name, file.sha256) for file in compiled_there.files] == [
        (file.name, file.sha256) for file in first.files
    ]


def test_two_at_once_compile_once(compiler: Path) -> None:
    waits: list[str] = []
    threads = [
        threading.Thread(
            target=native_runner, kwargs={"progress": lambda task, *_: waits.append(task)}
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls(compiler) == 1
    assert any("wait for another" in task for task in waits)


def test_a_compiler_that_fails(
    compiler: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMPILER_FAILS", "1")
    with pytest.raises(RunnerError, match=r"does not compile with gcc: .*no luck today") as raised:
        native_runner()
    assert "pip install ziglang" in raised.value.hint
    monkeypatch.setenv("COMPILER_FAILS", "")
    assert native_runner()  # nothing half-done was kept


def test_no_compiler(compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "ziglang" else find_spec(name, package),
    )
    with pytest.raises(RunnerError, match="no C\\+\\+ compiler") as raised:
        native_runner()
    assert raised.value.hint == "pip install ziglang, or install g++"


def test_packages_that_do_not_fit(compiler: Path, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="the device is aarch64"):
        native_runner(arch="aarch64")
    with pytest.raises(RunnerError, match="not the executorch folder"):
        native_runner(tmp_path)
    shutil.copy(installed() / "version.py", tmp_path)
    with pytest.raises(RunnerError, match="missing from the executorch package"):
        native_runner(tmp_path)
    with pytest.raises(RunnerError, match=r"exported by executorch 0\.9\.0") as raised:
        runtime_for("executorch", host_platform(), exported_by={"executorch": "0.9.0"})
    assert raised.value.hint.startswith("pip install executorch==0.9.0")
    same = {"executorch": executorch_version(installed()) + "+cpu"}
    assert runtime_for("executorch", host_platform(), exported_by=same)


@pytest.mark.parametrize(
    ("format", "board", "message", "hint"),
    [
        (
            "executorch",
            Platform("armv7l", glibc="2.36"),
            "ExecuTorch runs on aarch64 and x86_64, the device's programs are armv7l",
            "64-bit system",
        ),
        (
            "executorch",
            Platform("aarch64", glibc="2.24"),
            "the device's glibc is 2.24, executorch needs 2.28 or newer",
            "update the system",
        ),
        (
            "litert",
            Platform("aarch64", glibc="2.36", litert_runner="python"),
            "the device has no Python",
            "apt-get install python3",
        ),
        (
            "litert",
            Platform("aarch64", "python3", python_version="3.11", litert_runner="python"),
            "the device has no glibc",
            "benchmark_model",
        ),
    ],
)
def test_boards_that_cannot_run_a_runtime(
    format: RuntimeName, board: Platform, message: str, hint: str, compiler: Path
) -> None:
    with pytest.raises(RunnerError, match=message) as raised:
        runtime_for(format, board)
    assert hint in raised.value.hint
    assert calls(compiler) == 0


def test_litert_on_this_machine() -> None:
    runtime = runtime_for("litert", replace(host_platform(), litert_runner="python"))
    assert runtime.argv("/x") == (sys.executable, "-I", "/x/litert_runner/__main__.py")


def test_a_machine_without_a_c_library_gets_one(compiler: Path, tmp_path: Path) -> None:
    """As a phone does. The libraries of this machine stand in for those of a cross compiler, so
    that the loader can be run here."""
    runtime = with_own_libc(native_runner(), tmp_path / "cache", silent)
    names = {file.name for file in runtime.files}
    assert {"lib/libc.so.6", "lib/libstdc++.so.6", "edgekit_runner", "libexecutorch.so"} < names
    for file in runtime.files:
        (tmp_path / "on device" / file.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.path, tmp_path / "on device" / file.name)
    loader, *options, program = runtime.argv(str(tmp_path / "on device"))
    assert program == str(tmp_path / "on device" / "edgekit_runner")
    listing = subprocess.run(
        [loader, *options, "--list", "/bin/sh"], capture_output=True, text=True
    )
    assert listing.returncode == 0, listing.stderr
    assert f"{tmp_path / 'on device'}/lib/libc.so.6" in listing.stdout


def test_no_c_library_to_bring_along(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_libc, "LIBRARIES", ("libnothing.so.6",))
    runtime = native_runner()
    with pytest.raises(RunnerError, match="the device has no glibc") as raised:
        with_own_libc(runtime, tmp_path / "cache", silent)
    assert "apt-get install libc6-" in raised.value.hint


def test_the_pinned_executorch_is_that_of_the_exporters() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert f"executorch=={PINNED}" in project["project"]["optional-dependencies"]["export"]


def test_an_installation_without_exporters_fetches_the_wheel(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, bytes | str] = {
        f"executorch/lib/lib{name}.so": (installed() / "lib" / f"lib{name}.so").read_bytes()
        for name in native.LIBRARIES
    }
    files |= {
        "executorch/version.py": f'__version__ = "{PINNED}+cpu"',
        "executorch/exir/large.py": "",
    }
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    make_wheel(
        tmp_path / "index",
        f"executorch-{PINNED}",
        f"{tag}-{tag}-manylinux_2_28_{platform.machine()}",
        files,
    )
    only_index(tmp_path / "index", monkeypatch)
    monkeypatch.setattr(native, "installed_executorch", lambda: None)
    runtime = runtime_for("executorch", host_platform())
    assert (runtime.version, len(runtime.files), calls(compiler)) == (PINNED, 6, 1)
    only_index(tmp_path / "nothing", monkeypatch)
    assert runtime_for("executorch", host_platform()) == runtime
    assert not list((tmp_path / "cache").rglob("large.py"))


def test_nothing_heavy_is_imported(compiler: Path) -> None:
    code = """
import sys
from edgekit.bundle.manifest import RuntimeName
from edgekit.installing import install_command
from edgekit.runners.runtime import *
runtime_for("executorch", host_platform()), runtime_for("litert", host_platform())
print([name for name in ("torch", "executorch", "ai_edge_litert", "numpy") if name in sys.modules])
"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        == b"[]\n"
    )
