"""Inputs and outputs of model files: against what the runtimes and exporters themselves say of the
same files, and damaged ones."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.manifest import DynamicSize
from edgekit.bundle.model_file import read_signatures
from edgekit.errors import ModelError

Models = tuple[Path, dict[str, Any]]


@pytest.mark.torch
@pytest.mark.parametrize("name", ["convolution", "two", "int8"])
def test_tflite_as_its_interpreter_sees_it(models: Models, name: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = models[0] / f"{name}.tflite"
    interpreter = Interpreter(model_path=str(path))
    [signature] = read_signatures(path.read_bytes())
    for specs, expected in (
        (signature.inputs, interpreter.get_input_details()),
        (signature.outputs, interpreter.get_output_details()),
    ):
        assert [spec.file_name for spec in specs] == [tensor["name"] for tensor in expected]
        assert [spec.dtype for spec in specs] == [tensor["dtype"].__name__ for tensor in expected]
        assert [spec.shape for spec in specs] == [tuple(tensor["shape"]) for tensor in expected]
        quantized = [
            tensor["quantization"] if tensor["quantization"][0] else (None, None)
            for tensor in expected
        ]
        assert [(spec.scale, spec.zero_point) for spec in specs] == [
            (scale and pytest.approx(scale), zero) for scale, zero in quantized
        ]


@pytest.mark.torch
def test_signatures_as_the_interpreter_sees_them(callable_models: Models) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = callable_models[0] / "signatures.tflite"
    interpreter = Interpreter(model_path=str(path))
    signatures = read_signatures(path.read_bytes())
    listed = interpreter.get_signature_list()
    assert {signature.name for signature in signatures} == set(listed) == {"prefill", "step"}
    for signature in signatures:
        runner = interpreter.get_signature_runner(signature.name)
        assert signature.by_name
        for specs, details in (
            (signature.inputs, runner.get_input_details()),
            (signature.outputs, runner.get_output_details()),
        ):
            assert [spec.name for spec in specs] == sorted(details)
            for spec in specs:
                assert spec.file_name == details[spec.name]["name"]
                assert spec.shape == tuple(details[spec.name]["shape"])


@pytest.mark.torch
def test_methods_of_a_pte(callable_models: Models) -> None:
    """Without the one that only returns a number."""
    signatures = read_signatures((callable_models[0] / "methods.pte").read_bytes())
    tokens = {signature.name: signature.inputs[0].shape for signature in signatures}
    assert tokens == {"prefill": (1, 16, 8), "step": (1, 1, 8)}
    assert all(signature.by_name for signature in signatures)


@pytest.mark.torch
def test_sizes_that_are_dynamic(callable_models: Models) -> None:
    [images] = read_signatures((callable_models[0] / "dynamic.pte").read_bytes())
    assert images.inputs[0].shape == (1, 3, 96, 128)
    largest = [(size.axis, size.max) for size in images.inputs[0].dynamic]
    assert largest == [(1, 3), (2, 96), (3, 128)]
    [rows] = read_signatures((callable_models[0] / "free.tflite").read_bytes())
    assert [spec.shape for spec in rows.inputs] == [(1, 4), (1, 4)]
    assert [spec.dynamic for spec in rows.inputs] == [(DynamicSize(axis=0),)] * 2


@pytest.mark.torch
@pytest.mark.parametrize("name", ["convolution", "two"])
def test_pte_as_it_was_exported(models: Models, name: str) -> None:
    from executorch.exir import schema
    from executorch.exir._serialize._program import deserialize_pte_binary

    data = (models[0] / f"{name}.pte").read_bytes()
    plan = deserialize_pte_binary(data).program.execution_plan[0]
    [signature] = read_signatures(data)
    for specs, indices in ((signature.inputs, plan.inputs), (signature.outputs, plan.outputs)):
        tensors = [plan.values[index].val for index in indices]
        assert [spec.shape for spec in specs] == [
            tuple(tensor.sizes) for tensor in tensors if isinstance(tensor, schema.Tensor)
        ]
        kinds = {
            schema.ScalarType.FLOAT: "float32",
            schema.ScalarType.INT: "int32",
            schema.ScalarType.BOOL: "bool",
        }
        assert [spec.dtype for spec in specs] == [
            kinds[tensor.scalar_type] for tensor in tensors if isinstance(tensor, schema.Tensor)
        ]


@pytest.mark.torch
@pytest.mark.parametrize(
    "file",
    ["convolution.tflite", "int8.tflite", "convolution.pte", "two.pte", "signatures.tflite"],
)
def test_damaged_files_are_refused_or_read(
    models: Models, callable_models: Models, file: str
) -> None:
    """Nothing but ModelError, whatever the bytes are."""
    folder = models[0] if (models[0] / file).exists() else callable_models[0]
    data = (folder / file).read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(600):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 4, 50))):
            broken[chance.randrange(min(len(data), 4000))] = chance.randrange(256)
        for candidate in (bytes(broken), bytes(broken[: chance.randrange(len(data))])):
            try:
                read_signatures(candidate)
            except ModelError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        bytes(100),
        b"\x10\0\0\0TFL3",
        struct.pack("<I4s", 1 << 30, b"ET12"),
        b"\0\0\0\0TFL3" + bytes(50),
    ],
)
def test_what_is_no_model(data: bytes) -> None:
    with pytest.raises(ModelError) as raised:
        read_signatures(data)
    assert raised.value.hint
