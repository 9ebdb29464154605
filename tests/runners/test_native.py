"""What only the native ExecuTorch runner has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.runners.runtime import Runtime
from tests.support.runners import Runner, failure

pytestmark = pytest.mark.torch


@pytest.fixture
def runner(models: tuple[Path, dict[str, Any]], executorch_argv: tuple[str, ...]) -> Runner:
    return Runner("executorch", executorch_argv, models[0])


def test_version(runner: Runner, native: Runtime) -> None:
    done = runner.start("--version")
    version = json.loads(done.stdout)
    assert done.ok
    assert (version["type"], version["runtime"], version["runtime_version"]) == (
        "version",
        "executorch",
        native.version,
    )


def test_a_backend_it_does_not_have(runner: Runner, tmp_path: Path) -> None:
    data = runner.model("convolution").read_bytes()
    assert b"XnnpackBackend" in data
    (tmp_path / "model.pte").write_bytes(data.replace(b"XnnpackBackend", b"QuantumBackend"))
    code, message = failure(runner, "--model", str(tmp_path / "model.pte"))
    assert code == 3
    assert "needs backend QuantumBackend; this runner has: XnnpackBackend" in message


def test_an_operator_it_does_not_have(runner: Runner, tmp_path: Path) -> None:
    data = runner.model("two").read_bytes()
    assert b"aten::embedding" in data
    (tmp_path / "model.pte").write_bytes(data.replace(b"aten::embedding", b"aten::imbedding"))
    code, message = failure(runner, "--model", str(tmp_path / "model.pte"))
    assert code == 3
    assert "OperatorMissing" in message


def test_an_index_out_of_range_fails_the_inference(
    runner: Runner, models: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    sample = models[1]["two"][0]
    (tmp_path / "inputs").write_bytes(sample.inputs[0].tobytes() + (1000).to_bytes(4, "little"))
    code, message = failure(
        runner,
        "--model",
        str(runner.model("two")),
        "--inputs",
        str(tmp_path / "inputs"),
        "--samples",
        "1",
    )
    assert code == 4
    assert "inference failed" in message
