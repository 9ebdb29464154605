"""What a `.tflite` file holds, read back from its own bytes: constants with dtype and scales,
operators, and its first operators on the inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as tfl

from edgekit.backends.proof import Constant

DTYPES: dict[int, type[np.generic]] = {
    tfl.TensorType.FLOAT32: np.float32,
    tfl.TensorType.FLOAT16: np.float16,
    tfl.TensorType.INT8: np.int8,
    tfl.TensorType.UINT8: np.uint8,
    tfl.TensorType.INT16: np.int16,
    tfl.TensorType.INT32: np.int32,
    tfl.TensorType.INT64: np.int64,
    tfl.TensorType.BOOL: np.bool_,
}
OPERATOR_NAMES = {
    value: name for name, value in vars(tfl.BuiltinOperator).items() if isinstance(value, int)
}


@dataclass(frozen=True)
class Operator:
    """One operator: its name and the indices of its tensors. `output_names` are what quantization
    recipes select operators by."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    output_names: tuple[str, ...]


@dataclass(frozen=True)
class TfliteContents:
    """`constants` by tensor index."""

    constants: dict[int, Constant]
    operators: tuple[Operator, ...]


def read_tflite(data: bytes) -> TfliteContents:
    """Parse a `.tflite` with one subgraph."""
    model = tfl.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() != 1:
        raise ValueError(f"{model.SubgraphsLength()} subgraphs, expected one")
    graph = model.Subgraphs(0)
    return TfliteContents(
        constants=dict(_constants(model, graph)), operators=tuple(_operators(model, graph))
    )


def _constants(model: Any, graph: Any) -> Iterator[tuple[int, Constant]]:
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        buffer = model.Buffers(tensor.Buffer())
        dtype = DTYPES.get(tensor.Type())
        if dtype is None or buffer is None or not buffer.DataLength():
            continue
        shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
        values = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype).reshape(shape)
        quantization = tensor.Quantization()
        scale = (
            quantization.ScaleAsNumpy()
            if quantization is not None and quantization.ScaleLength()
            else None
        )
        yield index, Constant(tensor.Name().decode(), values, scale)


def _operators(model: Any, graph: Any) -> Iterator[Operator]:
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = (
            code.CustomCode().decode()
            if number == tfl.BuiltinOperator.CUSTOM
            else OPERATOR_NAMES.get(number, str(number))
        )
        outputs = tuple(int(item) for item in operator.OutputsAsNumpy())
        names = tuple(graph.Tensors(item).Name().decode() for item in outputs if item >= 0)
        yield Operator(name, tuple(int(item) for item in operator.InputsAsNumpy()), outputs, names)
