"""Inputs and outputs of model files: against what the runtimes and exporters themselves say of the
same files, and damaged ones."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.model_file import read_signature
from edgekit.errors import ModelError

Models = tuple[Path, dict[str, Any]]


@pytest.mark.torch
@pytest.mark.parametrize("name", ["convolution", "two", "int8"])
def test_tflite_as_its_interpreter_sees_it(models: Models, name: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = models[0] / f"{name}.tflite"
    interpreter = Interpreter(model_path=str(path))
    signature = read_signature(path.read_bytes())
    for specs, expected in (
        (signature.inputs, interpreter.get_input_details()),
        (signature.outputs, interpreter.get_output_details()),
    ):
        assert [spec.name for spec in specs] == [tensor["name"] for tensor in expected]
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
@pytest.mark.parametrize("name", ["convolution", "two"])
def test_pte_as_it_was_exported(models: Models, name: str) -> None:
    from executorch.exir import schema
    from executorch.exir._serialize._program import deserialize_pte_binary

    data = (models[0] / f"{name}.pte").read_bytes()
    plan = deserialize_pte_binary(data).program.execution_plan[0]
    signature = read_signature(data)
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
    "file", ["convolution.tflite", "int8.tflite", "convolution.pte", "two.pte"]
)
def test_damaged_files_are_refused_or_read(models: Models, file: str) -> None:
    """Nothing but ModelError, whatever the bytes are."""
    data = (models[0] / file).read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(600):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 4, 50))):
            broken[chance.randrange(min(len(data), 4000))] = chance.randrange(256)
        for candidate in (bytes(broken), bytes(broken[: chance.randrange(len(data))])):
            try:
                read_signature(candidate)
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
        read_signature(data)
    assert raised.value.hint
