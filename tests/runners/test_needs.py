"""What libraries need of a board, read from their files: against binutils' own reading, in the
wheels that boards get, and what becomes of a board that does not have it."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.boards import check_items
from edgekit.cache import cache_root
from edgekit.errors import RunnerError
from edgekit.progress import silent
from edgekit.runners.litert import PINNED
from edgekit.runners.native import LIBRARIES, executorch_for, installed_executorch
from edgekit.runners.needs import PINNED_NEEDS, needs_of_files, needs_of_wheel, newest, unmet
from edgekit.runners.python_packing import DROPPED
from edgekit.runners.runtime import Platform, runtime_for
from edgekit.runners.wheels import fetch_wheels
from tests.support.tiers import cannot_run, require_module
from tests.support.wheelhouse import make_wheel, only_index

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
ABI = f"cp{HERE.replace('.', '')}"
MACHINE = platform.machine()
BULLSEYE = Platform(
    MACHINE,
    "python3",
    glibc="2.31",
    python_version=HERE,
    litert_runner="python",
    glibcxx="3.4.28",
    cxxabi="1.3.12",
)
BOOKWORM = replace(BULLSEYE, glibc="2.36", glibcxx="3.4.30", cxxabi="1.3.13")


def read_by_binutils(file: Path) -> dict[str, str]:
    """The newest of each kind, as `objdump -p` lists what a file takes from other libraries."""
    if not shutil.which("objdump"):
        cannot_run("needs apt-get install binutils")
    printed = subprocess.run(["objdump", "-p", file], capture_output=True, text=True, check=True)
    references = printed.stdout.partition("Version References:")[2]
    names = re.findall(r" ((?:GLIBC|GLIBCXX|CXXABI)_[0-9.]+)$", references, re.MULTILINE)
    return newest(names)


def test_it_is_what_binutils_read() -> None:
    [library] = Path(np.__file__).parent.glob("_core/_multiarray_umath*.so")
    needs = needs_of_files([library])
    assert needs == read_by_binutils(library)
    assert set(needs) == {"GLIBC", "GLIBCXX", "CXXABI"}


def test_the_newest_is_no_matter_of_text() -> None:
    names = ["GLIBC_2.4", "GLIBC_2.17", "GLIBCXX_3.4.9", "GLIBCXX_3.4.22", "GCC_3.0"]
    assert newest(names) == {"GLIBC": "2.17", "GLIBCXX": "3.4.22"}
    assert newest([*names, "GLIBC_PRIVATE", "GLIBC_2." + "9" * 99]) == newest(names)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"GLIBC": "2.36", "GLIBCXX": "3.4.30"}, ""),
        ({"GLIBC": "2.4", "GLIBCXX": "3.4.30"}, "GLIBC_2.34 (it has 2.4)"),
        (
            {"GLIBC": "2.31", "GLIBCXX": "3.4.28"},
            "GLIBC_2.34 (it has 2.31) and GLIBCXX_3.4.30 (it has 3.4.28)",
        ),
        ({"GLIBC": None}, ""),
    ],
)
def test_what_is_lacking(there: Mapping[str, str | None], words: str) -> None:
    assert unmet({"GLIBC": "2.34", "GLIBCXX": "3.4.30"}, there) == words


@pytest.mark.parametrize("cut", [5, 64, 500, 5000])
def test_damaged_files_are_refused_or_read(cut: int, tmp_path: Path) -> None:
    [library] = Path(np.__file__).parent.glob("linalg/lapack_lite*.so")
    (tmp_path / "cut.so").write_bytes(library.read_bytes()[:cut])
    with pytest.raises(RunnerError, match="not a whole ELF file"):
        needs_of_files([tmp_path / "cut.so"])
    (tmp_path / "text.so").write_text("no ELF file at all")
    assert needs_of_files([tmp_path / "text.so"]) == {}


@pytest.mark.torch
def test_the_pinned_versions_need_what_the_table_says() -> None:
    """The wheels that are installed here, of what a board gets of them."""
    module = require_module("ai_edge_litert", "export")
    package = Path(module.__file__).parent
    files = [
        path
        for path in package.rglob("*.so")
        if not DROPPED.search(path.relative_to(package.parent).as_posix())
    ]
    assert needs_of_files(files) == PINNED_NEEDS["litert", MACHINE]
    executorch = installed_executorch()
    assert executorch
    libraries = [executorch / "lib" / f"lib{name}.so" for name in LIBRARIES]
    assert needs_of_files(libraries) == PINNED_NEEDS["executorch", MACHINE]


@pytest.mark.nightly
@pytest.mark.parametrize("arch", ["aarch64", "x86_64"])
def test_the_wheels_for_boards_need_what_the_table_says(arch: str) -> None:
    """Fetched once from the index, then in the user's cache."""
    wheels = fetch_wheels(
        [PINNED, "numpy"],
        arch=arch,
        python="3.11",
        glibc="2.36",
        cache=cache_root(),
        progress=silent,
    )
    [litert] = [wheel for wheel in wheels if wheel.name.startswith("ai_edge_litert")]
    assert needs_of_wheel(litert) == PINNED_NEEDS["litert", arch]
    libraries = executorch_for(arch, cache_root(), silent) / "lib"
    files = [libraries / f"lib{name}.so" for name in LIBRARIES]
    assert needs_of_files(files) == PINNED_NEEDS["executorch", arch]


@pytest.fixture
def modern_library(tmp_path: Path) -> bytes:
    """A shared library that needs GLIBC_2.34, in which `dlopen` moved into the C library."""
    if not shutil.which("g++"):
        cannot_run("needs apt-get install g++")
    source, library = tmp_path / "modern.c", tmp_path / "modern.so"
    source.write_text('#include <dlfcn.h>\nvoid *f(void) { return dlopen("x", 1); }\n')
    subprocess.run(["g++", "-shared", "-fPIC", "-o", library, source], check=True)
    assert needs_of_files([library])["GLIBC"] == "2.34"
    return library.read_bytes()


@pytest.mark.slow
def test_a_board_gets_the_litert_whose_files_it_can_load(
    tmp_path: Path, modern_library: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tags of all of them fit. What a card was given before its board's C++ library was known
    is what the board gets."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    only_index(tmp_path / "index", monkeypatch)
    tag = f"{ABI}-{ABI}-manylinux2014_aarch64"
    old, new = (replace(board, arch="aarch64") for board in (BULLSEYE, BOOKWORM))
    modern: dict[str, bytes | str] = {
        "ai_edge_litert/__init__.py": "",
        "ai_edge_litert/_pywrap.so": modern_library,
    }
    wheels: dict[str, Mapping[str, bytes | str]] = {
        f"ai_edge_litert-{PINNED.partition('==')[2]}": modern,
        "tflite_runtime-2.14.0": {"tflite_runtime/__init__.py": ""},
        "numpy-1.26.4": {"numpy/__init__.py": ""},
    }
    for name, files in wheels.items():
        make_wheel(tmp_path / "index", name, tag, files)
    runtimes = [runtime_for("litert", board) for board in (new, old, new)]
    assert [runtime.version for runtime in runtimes] == ["2.3.0", "2.14.0", "2.3.0"]
    assert runtime_for("litert", replace(new, glibcxx=None, cxxabi=None)) == runtimes[0]
    assert runtime_for("litert", replace(old, glibcxx=None, cxxabi=None)) == runtimes[1]
    only_litert = replace(old, litert_package="ai_edge_litert")
    with pytest.raises(RunnerError, match=r"needs GLIBC_2\.34 \(it has 2\.31\)") as refused:
        runtime_for("litert", only_litert)
    assert "update the system" in refused.value.hint


def test_the_check_says_so_before_anything_is_fetched() -> None:
    bullseye = replace(BULLSEYE, arch="aarch64")
    item = check_items.c_library(bullseye)
    assert item.level == "note"
    assert item.text == (
        "glibc 2.31, libstdc++ with GLIBCXX_3.4.28; LiteRT in the version that exports needs"
        " GLIBC_2.34 (it has 2.31) and GLIBCXX_3.4.30 (it has 3.4.28) and CXXABI_1.3.13 (it has"
        " 1.3.12)"
    )
    assert "Debian 12" in item.fix
    assert check_items.c_library(replace(BOOKWORM, arch="aarch64")).level == "ok"
    old = replace(bullseye, glibc="2.28", glibcxx="3.4.21", cxxabi="1.3.11")
    assert "; .pte needs GLIBCXX_3.4.22 (it has 3.4.21)" in check_items.c_library(old).text
