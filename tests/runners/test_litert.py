"""LiteRT for boards: which packages are chosen, what is left out, and that Python finds what was
packed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import RunnerError
from edgekit.progress import silent
from edgekit.runners.litert import PINNED
from edgekit.runners.python_packing import pack
from edgekit.runners.runtime import Platform, Runtime, prepare, runtime_for
from tests.support.wheelhouse import make_wheel, only_index

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
IN_PYTHON: dict[str, Any] = {
    "python": "python3",
    "python_version": HERE,
    "litert_runner": "python",
}
BOARD = Platform("aarch64", glibc="2.36", **IN_PYTHON)
ABI = f"cp{HERE.replace('.', '')}"


def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *wheels: tuple[str, str, str]) -> None:
    """An index of wheels: name, Python tag, platform."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    only_index(tmp_path / "index", monkeypatch)
    for name, python, platform in wheels:
        module = name.rpartition("-")[0]
        make_wheel(
            tmp_path / "index", name, f"{python}-{python}-{platform}", {f"{module}/__init__.py": ""}
        )


def packages(runtime: Runtime) -> set[str]:
    (path,) = (file.path for file in runtime.files if file.name == "site/python.zip")
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[0] for name in archive.namelist() if "/__init__." in name}


def test_the_pinned_one_is_that_of_the_exporters() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert PINNED in project["project"]["optional-dependencies"]["export"]


def test_what_the_host_verified_with_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = PINNED.partition("==")[2]
    modern = [(f"ai_edge_litert-{v}", ABI, "manylinux_2_27_aarch64") for v in (version, "99.0")]
    index(tmp_path, monkeypatch, *modern, ("numpy-2.4.6", ABI, "manylinux_2_28_aarch64"))
    runtime = runtime_for("litert", BOARD)
    assert (runtime.version, packages(runtime)) == (version, {"ai_edge_litert", "numpy"})
    assert runtime.argv("/x") == ("python3", "-I", "/x/litert_runner/__main__.py")


def test_an_old_board_gets_the_old_package_and_the_old_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numpies = [(f"numpy-{v}", ABI, "manylinux2014_aarch64") for v in ("1.26.4", "2.0.2")]
    index(tmp_path, monkeypatch, *numpies, ("tflite_runtime-2.14.0", ABI, "manylinux_2_34_aarch64"))
    runtime = runtime_for("litert", BOARD)
    assert (runtime.version, packages(runtime)) == ("2.14.0", {"tflite_runtime", "numpy"})
    (metadata,) = (file for file in (tmp_path / "cache" / "wheels").rglob("numpy*.whl"))
    assert "1.26.4" in metadata.name
    with pytest.raises(RunnerError, match="no LiteRT for Python"):
        runtime_for("litert", Platform("aarch64", glibc="2.31", **IN_PYTHON))


def test_32_bit_arm_uses_the_numpy_of_the_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(tmp_path, monkeypatch, ("tflite_runtime-2.14.0", ABI, "manylinux_2_34_armv7l"))
    board: dict[str, Any] = {"arch": "armv7l", "glibc": "2.36", **IN_PYTHON}
    board["litert_runner"] = "auto"
    assert packages(runtime_for("litert", Platform(**board, numpy="1.24.2"))) == {"tflite_runtime"}
    for numpy in (None, "2.1.0"):
        with pytest.raises(RunnerError, match="no LiteRT for Python") as raised:
            runtime_for("litert", Platform(**board, numpy=numpy))
        assert "python3-numpy" in raised.value.hint


def test_the_target_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = PINNED.partition("==")[2]
    index(
        tmp_path,
        monkeypatch,
        (f"ai_edge_litert-{version}", ABI, "manylinux_2_27_aarch64"),
        ("numpy-2.4.6", ABI, "manylinux_2_28_aarch64"),
    )
    with pytest.raises(RunnerError, match="tflite-runtime"):
        runtime_for(
            "litert",
            Platform("aarch64", glibc="2.36", litert_package="tflite_runtime", **IN_PYTHON),
        )


def test_prepared_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(
        tmp_path,
        monkeypatch,
        (f"ai_edge_litert-{PINNED.partition('==')[2]}", ABI, "manylinux_2_27_aarch64"),
        ("numpy-2.4.6", ABI, "manylinux_2_28_aarch64"),
    )
    carried = tmp_path / "carried"
    monkeypatch.chdir(tmp_path)  # pip runs elsewhere: a relative directory is the caller's
    (runtime,) = prepare(BOARD, formats=["litert"], offline_cache=Path("carried"))
    only_index(tmp_path / "nothing", monkeypatch)
    assert prepare(BOARD, formats=["litert"], offline_cache=carried) == (runtime,)
    text = (carried / "runtimes.json").read_text()
    assert all(file.sha256 in text and file.name in text for file in runtime.files)
    with pytest.raises(RunnerError, match="cannot fetch"):
        runtime_for("litert", BOARD)


def test_packed(tmp_path: Path) -> None:
    """Modules come compiled from the zip, an extension module from beside it, and what only
    developers need is not there."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (extension,) = Path(sysconfig.get_path("platlib")).glob(f"numpy/linalg/lapack_lite{suffix}")
    files: dict[str, bytes | str] = {
        "thing/__init__.py": "from thing.linalg import lapack_lite\nwhere = lapack_lite.__file__",
        "thing/linalg/__init__.py": "",
        f"thing/linalg/lapack_lite{suffix}": extension.read_bytes(),
        "thing/tests/test_thing.py": "",
        "thing/_core.pyi": "",
        "ai_edge_litert/libLiteRtWebGpuAccelerator.so": "",
        "ai_edge_litert/aot/compiler.py": "",
    }
    site = tmp_path / "site"
    pack([make_wheel(tmp_path, "thing-1.0", "py3-none-any", files)], HERE, site, silent)
    with zipfile.ZipFile(site / "python.zip") as archive:
        assert {n for n in archive.namelist() if ".dist-info" not in n} == {
            "thing/__init__.pyc",
            "thing/linalg/__init__.pyc",
            "edgekit_packed.pyc",
        }
    assert [p.name for p in site.rglob("*.so*")] == [f"lapack_lite{suffix}"]
    code = (
        f"import sys; sys.path.insert(0, {str(site / 'python.zip')!r}); import numpy,"
        " edgekit_packed, thing; print(thing.__file__, thing.where)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [
        f"{site}/python.zip/thing/__init__.pyc",
        f"{site}/thing/linalg/lapack_lite{suffix}",
    ], done.stderr


def test_equal_wheels_are_packed_alike(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "thing-1.0",
        "py3-none-any",
        {"thing/__init__.py": "x = {'a', 'b'}", "thing/b.py": "y = 1"},
    )
    packed = []
    for name in ("first", "second"):
        pack([wheel], HERE, tmp_path / name, silent)
        packed.append((tmp_path / name / "python.zip").read_bytes())
    assert packed[0] == packed[1]


def test_another_python_gets_sources(tmp_path: Path) -> None:
    messages: list[str] = []
    wheel = make_wheel(tmp_path, "thing-1.0", "py3-none-any", {"thing/__init__.py": ""})
    pack([wheel], "3.99", tmp_path / "site", lambda task, *_: messages.append(task))
    with zipfile.ZipFile(tmp_path / "site" / "python.zip") as archive:
        assert "thing/__init__.py" in archive.namelist()
    assert messages == ["no python3.99 here: the device compiles its packages at each start"]
