"""What a `.pte` file holds, read back from its own bytes: constants with dtype and scale, planned
memory, the kernels it calls.

XNNPACK's part is a flatbuffer of its own inside the program (`XNNHeader`, schema in
executorch/backends/xnnpack/serialization); its constants are named by hash and lie among the
program's named data."""

from __future__ import annotations

import importlib.resources
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader
from executorch.exir import schema
from executorch.exir._serialize._flatbuffer import _flatc_decompile
from executorch.exir._serialize._program import PTEFile, deserialize_pte_binary
from numpy.typing import NDArray

from edgekit.backends.proof import Constant

XNN_DTYPES: dict[str, type[np.generic]] = {
    "xnn_datatype_fp32": np.float32,
    "xnn_datatype_fp16": np.float16,
    "xnn_datatype_qint8": np.int8,
    "xnn_datatype_qcint8": np.int8,
    "xnn_datatype_qint32": np.int32,
    "xnn_datatype_qcint32": np.int32,
}
DTYPES: dict[schema.ScalarType, type[np.generic]] = {
    schema.ScalarType.FLOAT: np.float32,
    schema.ScalarType.HALF: np.float16,
    schema.ScalarType.DOUBLE: np.float64,
    schema.ScalarType.CHAR: np.int8,
    schema.ScalarType.BYTE: np.uint8,
    schema.ScalarType.SHORT: np.int16,
    schema.ScalarType.INT: np.int32,
    schema.ScalarType.LONG: np.int64,
    schema.ScalarType.BOOL: np.bool_,
}


@dataclass(frozen=True)
class PteContents:
    """`kernels` are the operators called outside delegates, such as `aten::add.out`; `arena_bytes`
    is the memory planned for activations."""

    constants: tuple[Constant, ...]
    kernels: tuple[str, ...]
    delegates: tuple[str, ...]
    arena_bytes: int


def read_pte(data: bytes) -> PteContents:
    """Parse a `.pte` with one method."""
    file = deserialize_pte_binary(data)
    plan = file.program.execution_plan[0]
    constants = [*_program_constants(file.program, plan)]
    for delegate in plan.delegates:
        if delegate.id == "XnnpackBackend":
            payload = file.program.backend_delegate_data[delegate.processed.index].data
            constants += _xnnpack_constants(bytes(payload), _named_data(file))
    return PteContents(
        constants=tuple(constants),
        kernels=tuple(
            sorted(
                {
                    f"{operator.name}.{operator.overload}" if operator.overload else operator.name
                    for operator in plan.operators
                }
            )
        ),
        delegates=tuple(delegate.id for delegate in plan.delegates),
        arena_bytes=sum(plan.non_const_buffer_sizes),
    )


def _program_constants(program: schema.Program, plan: schema.ExecutionPlan) -> Iterator[Constant]:
    """Constants of the kernels outside delegates. They carry no scale: those are arguments of the
    dequantize kernels, constants too.

    A quantized weight is paired with the scale of the dequantize call that takes it.
    """
    scales = dict(_dequantized(plan))
    for index, value in enumerate(plan.values):
        tensor = value.val
        if (
            not isinstance(tensor, schema.Tensor)
            or not tensor.data_buffer_idx
            or tensor.allocation_info is not None
        ):
            continue
        scale_index = scales.get(index)
        scale = (
            None if scale_index is None else _tensor_values(program, plan.values[scale_index].val)
        )
        yield Constant(
            f"value{index}",
            _tensor_values(program, tensor),
            None if scale is None else scale.astype(np.float32).reshape(-1),
        )


def _dequantized(plan: schema.ExecutionPlan) -> Iterator[tuple[int, int]]:
    """Pairs (weight, scale) of value indices, from the per-channel dequantize calls."""
    for chain in plan.chains:
        for instruction in chain.instructions:
            call = instruction.instr_args
            if (
                isinstance(call, schema.KernelCall)
                and plan.operators[call.op_index].name
                == "quantized_decomposed::dequantize_per_channel"
            ):
                yield call.args[0], call.args[1]


def _tensor_values(program: schema.Program, tensor: Any) -> NDArray[np.generic]:
    dtype = np.dtype(DTYPES[tensor.scalar_type])
    count = int(np.prod(tensor.sizes, dtype=np.int64))
    flat = np.frombuffer(
        bytes(program.constant_buffer[tensor.data_buffer_idx].storage), dtype, count
    )
    stored = flat.reshape([tensor.sizes[dim] for dim in tensor.dim_order])
    return stored.transpose(np.argsort(tensor.dim_order))


def _named_data(file: PTEFile) -> Mapping[str, bytes]:
    named = file.named_data
    return (
        {}
        if named is None
        else {
            key: bytes(named.buffers[entry.buffer_index]) for key, entry in named.pte_data.items()
        }
    )


def _xnnpack_constants(payload: bytes, named: Mapping[str, bytes]) -> Iterator[Constant]:
    graph = _xnnpack_graph(payload)
    buffers = graph.get("constant_data", [])
    for value in graph["xvalues"]:
        union = value["xvalue_union"]
        tensor = union.get("tensor_value", union)
        index = tensor.get("constant_buffer_idx", 0)
        if not index:
            continue
        dtype = XNN_DTYPES.get(tensor["datatype"])
        if dtype is None:
            raise ValueError(f"constant of XNNPACK type {tensor['datatype']}")
        values = np.frombuffer(named[buffers[index]["named_key"]], dtype).reshape(tensor["dims"])
        yield Constant(
            f"xnn{tensor.get('id_out', 0)}",
            values,
            _xnnpack_scale(union.get("quant_params"), buffers, named),
        )


def _xnnpack_scale(
    quantization: Mapping[str, Any] | None, buffers: list[Any], named: Mapping[str, bytes]
) -> NDArray[np.float32] | None:
    if quantization is None:
        return None
    if "scale_buffer_idx" in quantization:
        return np.frombuffer(
            named[buffers[quantization["scale_buffer_idx"]]["named_key"]], np.float32
        )
    return np.asarray([quantization["scale"]], np.float32)


def _xnnpack_graph(payload: bytes) -> dict[str, Any]:
    """XNNPACK's flatbuffer as JSON, by the flatbuffer compiler that wrote it."""
    header = XNNHeader.from_bytes(payload[: XNNHeader.EXPECTED_LENGTH])
    flatbuffer = payload[
        header.flatbuffer_offset : header.flatbuffer_offset + header.flatbuffer_size
    ]
    fbs = (
        importlib.resources.files("executorch.backends.xnnpack.serialization")
        .joinpath("schema.fbs")
        .read_bytes()
    )
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "schema.fbs").write_bytes(fbs)
        (place / "graph.bin").write_bytes(flatbuffer)
        _flatc_decompile(
            directory, str(place / "schema.fbs"), str(place / "graph.bin"), ["--raw-binary"]
        )
        text = (place / "graph.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(
        re.sub(r":\s*([+-]?)inf\b", r": \1Infinity", text)
    )  # flatc's infinity is not JSON's
    return parsed
