"""What only the LiteRT runner has."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit.devices.local import LocalDevice
from edgekit.progress import silent
from edgekit.runners.litert import RUNNER
from edgekit.runners.python_packing import PACKED, pack
from tests.support.runners import NONCE, Runner
from tests.support.wheelhouse import make_wheel

START = RUNNER / "__main__.py"
SOURCES = [*sorted(RUNNER.glob("*.py")), PACKED]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_is_python_3_8(source: Path) -> None:
    tree = ast.parse(source.read_text(), feature_version=(3, 8))
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {
        str(node.module).partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and not node.level
    }
    assert imported <= sys.stdlib_module_names


def test_no_runtime_is_a_clear_error(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-S", str(START), "--model", "m", "--nonce", NONCE]
    done = LocalDevice().run(argv, timeout_s=30)
    assert (done.exit_code, done.stdout) == (3, b"")
    assert b"neither ai_edge_litert nor tflite_runtime is installed" in done.stderr


def test_packages_beside_it_come_first(tmp_path: Path) -> None:
    """As a board has them; here with a library missing. Nothing appears among the files."""
    shutil.copytree(RUNNER, tmp_path / RUNNER.name, ignore=lambda *_: ["__pycache__"])
    files = {
        "ai_edge_litert/__init__.py": "__version__ = '0'\n",
        "ai_edge_litert/interpreter.py": (
            "raise ImportError('libgone.so: cannot open shared object file')\n"
        ),
    }
    wheel = make_wheel(tmp_path, "ai_edge_litert-0", "py3-none-any", files)
    pack([wheel], f"{sys.version_info[0]}.{sys.version_info[1]}", tmp_path / "site", silent)
    start = tmp_path / RUNNER.name / START.name
    argv = [sys.executable, "-I", str(start), "--model", "m", "--nonce", NONCE]
    done = LocalDevice().run(argv, timeout_s=30)
    assert done.exit_code == 3
    assert b"ai_edge_litert does not import: libgone.so" in done.stderr
    assert b"Traceback" not in done.stderr
    assert sorted(start.parent.iterdir()) == sorted(start.parent.glob("*.py"))


@pytest.mark.torch
def test_quantized_tensors(
    models: tuple[Path, dict[str, Any]], litert_argv: tuple[str, ...]
) -> None:
    run = Runner("litert", litert_argv, models[0]).run("int8")
    [input_tensor], [output_tensor] = run.inputs, run.outputs
    assert (input_tensor.dtype, output_tensor.dtype) == ("int8", "int8")
    assert input_tensor.scale
    assert output_tensor.scale
    assert input_tensor.zero_point is not None
    assert -128 <= input_tensor.zero_point <= 127
