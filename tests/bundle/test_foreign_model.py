"""Models that edgekit did not build, measured like its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit.bundle.foreign_model import SAMPLES, random_inputs, wrap_model
from edgekit.bundle.manifest import TensorSpec
from edgekit.cli import run
from edgekit.errors import ModelError, UsageError
from tests.support import tflite_graphs

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


def bench_json(
    arguments: list[str], desk: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any]]:
    code = run(["bench", *arguments, "--target", desk, "--runs", "1", "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.torch
def test_bench_of_one_of_several_signatures(
    callable_models: Models, desk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, tokens in (("signatures.tflite", "tokens"), ("methods.pte", "input0")):
        model = str(callable_models[0] / file)
        code, measured = bench_json([model, "--signature", "step"], desk, capsys)
        assert code == 0
        [artifact] = measured["artifacts"]
        assert artifact["signature"] == "step"
        assert artifact["inputs"][tokens] == [1, 1, 8]
        assert artifact["summary"]["p50"]["ms"] > 0
        assert [note["text"] for note in measured["notes"] if note["code"] == "call"] == [
            f"{file}: signature step"
        ]
    assert run(["results", "show", "latest"]) == 0
    assert "signature step" in capsys.readouterr().out


@pytest.mark.torch
def test_bench_in_a_shape_of_ones_choice(
    callable_models: Models, desk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = callable_models[0]
    for file, options, shapes in (
        ("dynamic.pte", [], {"input0": [1, 3, 96, 128]}),
        ("dynamic.pte", ["--shape", "input0=1,3,40,50"], {"input0": [1, 3, 40, 50]}),
        (
            "free.tflite",
            ["--shape", "args_0=5,4", "--shape", "args_1=5,4"],
            {"args_0": [5, 4], "args_1": [5, 4]},
        ),
    ):
        code, measured = bench_json([str(folder / file), *options], desk, capsys)
        assert code == 0
        [artifact] = measured["artifacts"]
        assert (artifact["signature"], artifact["inputs"]) == (None, shapes)
        [note] = [note["text"] for note in measured["notes"] if note["code"] == "call"]
        assert all("×".join(map(str, shape)) in note for shape in shapes.values())


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("loop", tflite_graphs.write_loop),
        ("no_shape", lambda: tflite_graphs.write_where([])),
        ("no_size", lambda: tflite_graphs.write_where([0, 2])),
        ("another_size", lambda: tflite_graphs.write_where([1, 2])),
        ("detections", tflite_graphs.write_detections),
    ],
)
def test_bench_of_what_other_converters_write(
    name: str,
    make: Callable[[], bytes],
    tmp_path: Path,
    desk: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A loop whose body is a graph of its own; outputs whose shape is known after the call only,
    which a file writes as none, as 0, or as something else."""
    (tmp_path / f"{name}.tflite").write_bytes(make())
    code, measured = bench_json([str(tmp_path / f"{name}.tflite")], desk, capsys)
    assert code == 0, measured
    assert measured["artifacts"][0]["summary"]["p50"]["ms"] > 0
    assert measured["valid"]


@pytest.mark.torch
def test_a_shape_that_only_the_runtime_refuses(
    callable_models: Models, desk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A `.pte` does not say which of its sizes are free: here the channels are not."""
    model = str(callable_models[0] / "dynamic.pte")
    code, answer = bench_json([model, "--shape", "input0=1,2,96,128"], desk, capsys)
    assert code == 8
    assert "shape" in answer["hint"]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["signatures.tflite"], "it has several signatures: prefill, step"),
        (["methods.pte"], "it has several signatures: prefill, step"),
        (["signatures.tflite", "--signature", "nope"], "no signature 'nope'"),
        (["dynamic.pte", "--signature", "nope"], "no signature 'nope'"),
        (["dynamic.pte", "--shape", "x=1,3,40,50"], "it has no input 'x'"),
        (["dynamic.pte", "--shape", "input0=1,3,97,128"], "cannot have the shape 1×3×97×128"),
        (["dynamic.pte", "--shape", "input0=3,96,128"], "cannot have the shape 3×96×128"),
        (["signatures.tflite", "--signature", "step", "--shape", "tokens=1,2,8"], "1×2×8"),
        (["free.tflite", "--shape", "args_0=5,3"], "cannot have the shape 5×3"),
        (["dynamic.pte", "--shape", "input0=1,3,0,50"], "--shape: expected"),
        (["dynamic.pte", "--shape", "1,3,40,50"], "--shape: expected"),
        (["dynamic.pte", "--shape", "input0=1", "--shape", "input0=1"], "--shape: expected"),
    ],
)
def test_what_cannot_be_chosen(
    callable_models: Models,
    arguments: list[str],
    message: str,
    desk: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, *options = arguments
    code, answer = bench_json([str(callable_models[0] / file), *options], desk, capsys)
    assert code == 2
    assert message in answer["error"]
    assert answer["hint"]


@pytest.mark.torch
def test_another_call_is_another_bundle(callable_models: Models) -> None:
    """Also where the random inputs have the same bytes."""
    folder = callable_models[0]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("dynamic.pte", {"shapes": {"input0": (1, 3, 40, 50)}}),
        ("dynamic.pte", {"shapes": {"input0": (1, 3, 50, 40)}}),
        ("signatures.tflite", {"signature": "prefill"}),
        ("signatures.tflite", {"signature": "step"}),
    ]
    ids = []
    for file, options in calls:
        with edgekit.open_model(folder / file, **options) as bundle:
            ids.append(bundle.manifest.id)
    assert len(set(ids)) == len(calls)


@pytest.mark.torch
def test_show(callable_models: Models, capsys: pytest.CaptureFixture[str]) -> None:
    folder = callable_models[0]
    assert run(["bundle", "show", str(folder / "signatures.tflite")]) == 0
    shown = capsys.readouterr().out
    assert "signatures.tflite, signature prefill" in shown
    assert "1×16×8" in shown
    assert run(["bundle", "show", str(folder / "dynamic.pte")]) == 0
    assert "1×(1 to 3)×(1 to 96)×(1 to 128)" in capsys.readouterr().out
    assert run(["bundle", "show", str(folder / "methods.pte"), "--json"]) == 0
    artifacts = json.loads(capsys.readouterr().out)["artifacts"]
    assert [artifact["signature"] for artifact in artifacts] == ["prefill", "step"]
    with edgekit.open_model(folder / "free.tflite") as bundle:
        assert run(["bundle", "show", str(bundle.path)]) == 0
        assert "(1 or more)×4" in capsys.readouterr().out
        assert run(["bench", str(bundle.path), "--shape", "args_0=5,4"]) == 2
        assert "a bundle is measured as it was built" in capsys.readouterr().err


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
