"""Model files of a few bytes that edgekit reads as it reads those of an exporter: inputs and
outputs, and nothing that computes. Needs neither torch nor a runtime."""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers
import numpy as np
from numpy.typing import NDArray

PTE_FLOAT32, PTE_TENSOR = 6, 5


def write_pte(shapes_in: Sequence[Sequence[int]], shapes_out: Sequence[Sequence[int]]) -> bytes:
    """A program of ExecuTorch with one method, `forward`, of float32 tensors. Field numbers are
    those of program.fbs."""
    builder = flatbuffers.Builder()
    shapes = [*shapes_in, *shapes_out]
    values = _tables(builder, [_pte_value(builder, shape) for shape in shapes])
    inputs = builder.CreateNumpyVector(_int32(range(len(shapes_in))))
    outputs = builder.CreateNumpyVector(_int32(range(len(shapes_in), len(shapes))))
    name = builder.CreateString("forward")
    plan = _table(builder, {0: name, 2: values, 3: inputs, 4: outputs})
    program = _table(builder, {1: _tables(builder, [plan])})
    builder.Finish(program, b"ET12")
    return bytes(builder.Output())


def _pte_value(builder: flatbuffers.Builder, shape: Sequence[int]) -> int:
    sizes = builder.CreateNumpyVector(_int32(shape))
    builder.StartObject(9)
    builder.PrependInt8Slot(0, PTE_FLOAT32, 0)
    builder.PrependUOffsetTRelativeSlot(2, sizes, 0)
    tensor = builder.EndObject()
    builder.StartObject(2)
    builder.PrependUint8Slot(0, PTE_TENSOR, 0)
    builder.PrependUOffsetTRelativeSlot(1, tensor, 0)
    return int(builder.EndObject())


def _table(builder: flatbuffers.Builder, fields: dict[int, int]) -> int:
    builder.StartObject(max(fields) + 1)
    for number, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    return int(builder.EndObject())


def _tables(builder: flatbuffers.Builder, tables: Sequence[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _int32(numbers: Sequence[int] | range) -> NDArray[np.int32]:
    return np.asarray(list(numbers), np.int32)
