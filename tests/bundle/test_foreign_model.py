"""Models that edgekit did not build, measured like its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit.bundle.foreign_model import SAMPLES, random_inputs, wrap_model
from edgekit.bundle.manifest import TensorSpec
from edgekit.cli import run
from edgekit.errors import ModelError, UsageError

Models = tuple[Path, dict[str, Any]]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EDGEKIT_DB", f"sqlite:///{tmp_path}/results.db")
    file = tmp_path / "desk.yaml"
    file.write_text(f"edgekit: 1\nname: desk\nkind: local\nworkdir: {tmp_path}/device\n")
    return str(file)


@pytest.mark.torch
@pytest.mark.parametrize("file", ["int8.tflite", "two.tflite", "convolution.pte"])
def test_bench_of_any_model(
    models: Models, file: str, tmp_path: Path, desk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model_file = tmp_path / f"my model (1).{file.split('.')[1]}"
    shutil.copy(models[0] / file, model_file)
    assert run(["bench", str(model_file), "--target", desk, "--runs", "1", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert [artifact["artifact"] for artifact in measured["artifacts"]] == [
        f"my-model--1-.{file.split('.')[1]}"
    ]
    assert measured["artifacts"][0]["summary"]["p50"]["ms"] > 0
    (note,) = [note for note in measured["notes"] if note["code"] == "parity"]
    assert "parity is not available" in note["text"]
    assert run(["results", "show", "latest"]) == 0
    assert "parity is not available" in " ".join(capsys.readouterr().out.split())


@pytest.mark.torch
def test_the_same_from_python(models: Models, desk: str) -> None:
    with edgekit.open_model(models[0] / "convolution.tflite") as bundle:
        place = bundle.path
        settings = {"runs": 1, "min_seconds": 0, "warmup_min_seconds": 0}
        [measured] = edgekit.bench(bundle, desk, settings=settings, store=False).values()
    assert measured.artifacts[0].outputs == ()
    assert not place.exists()


@pytest.mark.torch
def test_the_same_model_is_the_same_bundle(models: Models, tmp_path: Path) -> None:
    first, second = (wrap_model(models[0] / "int8.tflite", tmp_path / name) for name in "ab")
    assert first.manifest.id == second.manifest.id


def test_inputs_are_of_their_types() -> None:
    dtypes = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")
    for dtype in dtypes:
        spec = TensorSpec.model_validate({"name": "x", "dtype": dtype, "shape": (2, 500)})
        data = random_inputs((spec,))
        values = np.frombuffer(data, dtype).reshape(SAMPLES, 2, 500)
        assert data == random_inputs((spec,))
        assert len(np.unique(values)) >= 2
        if np.dtype(dtype).itemsize >= 4 and dtype != "float32":
            assert set(np.unique(values)) == {0, 1}
    with pytest.raises(ModelError, match="bytes"):
        random_inputs((TensorSpec(name="x", dtype="int8", shape=(1 << 20, 1 << 20)),))


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"a\.tflite: neither"):
        wrap_model(tmp_path / "a.tflite", tmp_path / "out")
    for name in ("none.tflite", "a.onnx"):
        with pytest.raises(UsageError):
            wrap_model(tmp_path / name, tmp_path / "other")
