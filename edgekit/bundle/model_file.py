"""The inputs and outputs of a `.tflite` or `.pte` that edgekit did not make, read from its bytes.
Needs neither torch nor a runtime, and runs nothing.

Field numbers are those of TensorFlow Lite's schema.fbs (identifier TFL3) and ExecuTorch's
program.fbs (ET12). The file is somebody else's: whatever does not follow them is a ModelError."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, cast, get_args

from flatbuffers import number_types as kinds
from flatbuffers.table import Table

from edgekit.bundle.manifest import TensorSpec
from edgekit.errors import ModelError

TFLITE = b"TFL3"
PTE = b"ET12"
MAX_VECTOR = 1 << 20
TFLITE_DTYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    9: "int8",
}
PTE_DTYPES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    11: "bool",
}
"""By the number of ExecuTorch's ScalarType."""
PTE_TENSOR = 5
"""KernelTypes.Tensor."""


@dataclass(frozen=True)
class Signature:
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def read_signature(data: bytes) -> Signature:
    """The inputs and outputs of a model with one subgraph (`.tflite`), or of the first method
    (`.pte`). Raises ModelError."""
    readers = {TFLITE: _tflite, PTE: _pte}
    reader = readers.get(data[4:8])
    if reader is None:
        raise ModelError(
            "neither a .tflite nor a .pte: its identifier is of another format",
            hint="give a file that a converter wrote",
        )
    try:
        signature = reader(_Reader(data, struct.unpack_from("<I", data)[0]))
    except (struct.error, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            f"damaged or cut off: {error}", hint="export or download it again"
        ) from None
    if not signature.inputs or not signature.outputs:
        raise ModelError("it has no inputs or no outputs", hint="give a model that can be run")
    return signature


@dataclass(frozen=True)
class _Reader:
    """A table of a flatbuffer at a place in the file. Fields that are not there have their
    default."""

    data: bytes
    at: int

    def number(self, field: int, kind: Any) -> int:
        offset = self._offset(field)
        return self._table.Get(kind, self.at + offset) if offset else 0

    def table(self, field: int) -> _Reader | None:
        offset = self._offset(field)
        return _Reader(self.data, self._table.Indirect(self.at + offset)) if offset else None

    def tables(self, field: int) -> list[_Reader]:
        return [_Reader(self.data, self._table.Indirect(place)) for place in self._places(field, 4)]

    def numbers(self, field: int, kind: Any) -> list[Any]:
        return [self._table.Get(kind, place) for place in self._places(field, kind.bytewidth)]

    def text(self, field: int) -> str:
        offset = self._offset(field)
        return self._table.String(self.at + offset).decode("utf-8", "replace") if offset else ""

    @property
    def _table(self) -> Any:
        if not 0 < self.at < len(self.data):
            raise ValueError("a place outside the file")
        return Table(self.data, self.at)

    def _offset(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))

    def _places(self, field: int, width: int) -> list[int]:
        offset = self._offset(field)
        if not offset:
            return []
        count = self._table.VectorLen(offset)
        start = self._table.Vector(offset)
        if count > MAX_VECTOR or start + count * width > len(self.data):
            raise ValueError("a list longer than the file")
        return [start + index * width for index in range(count)]


def _tflite(model: _Reader) -> Signature:
    graphs = model.tables(2)
    if len(graphs) != 1:
        raise ModelError(
            f"{len(graphs)} subgraphs, edgekit runs models with one",
            hint="convert it again with a single signature",
        )
    tensors = graphs[0].tables(0)
    inputs = graphs[0].numbers(1, kinds.Int32Flags)
    outputs = graphs[0].numbers(2, kinds.Int32Flags)
    return Signature(
        tuple(_tflite_spec(tensors[index]) for index in inputs),
        tuple(_tflite_spec(tensors[index]) for index in outputs),
    )


def _tflite_spec(tensor: _Reader) -> TensorSpec:
    quantization = tensor.table(4)
    scales = quantization.numbers(2, kinds.Float32Flags) if quantization else []
    zeros = quantization.numbers(3, kinds.Int64Flags) if quantization else []
    per_tensor = len(scales) == 1
    zero_point = zeros[0] if zeros else 0
    return _spec(
        tensor.text(3),
        TFLITE_DTYPES.get(tensor.number(1, kinds.Int8Flags)),
        tensor.numbers(0, kinds.Int32Flags),
        scale=scales[0] if per_tensor else None,
        zero_point=zero_point if per_tensor else None,
    )


def _pte(program: _Reader) -> Signature:
    plan = program.tables(1)[0]
    values = plan.tables(2)
    inputs = plan.numbers(3, kinds.Int32Flags)
    outputs = plan.numbers(4, kinds.Int32Flags)
    return Signature(
        tuple(_pte_spec(values[index], f"input{place}") for place, index in enumerate(inputs)),
        tuple(_pte_spec(values[index], f"output{place}") for place, index in enumerate(outputs)),
    )


def _pte_spec(value: _Reader, name: str) -> TensorSpec:
    tensor = value.table(1)
    if value.number(0, kinds.Uint8Flags) != PTE_TENSOR or tensor is None:
        raise ModelError(
            f"{name} is not a tensor", hint="export a model that takes and returns tensors"
        )
    return _spec(
        name, PTE_DTYPES.get(tensor.number(0, kinds.Int8Flags)), tensor.numbers(2, kinds.Int32Flags)
    )


def _spec(
    name: str,
    dtype: str | None,
    shape: list[int],
    scale: float | None = None,
    zero_point: int | None = None,
) -> TensorSpec:
    if dtype not in get_args(TensorSpec.model_fields["dtype"].annotation):
        raise ModelError(
            f"{name}: a type of tensor that edgekit does not run",
            hint="convert it with float or integer inputs and outputs",
        )
    if any(size <= 0 for size in shape):
        raise ModelError(
            f"{name}: a shape that is not fixed: {shape}", hint="convert it with a fixed shape"
        )
    return TensorSpec(
        name=name, dtype=cast(Any, dtype), shape=tuple(shape), scale=scale, zero_point=zero_point
    )
