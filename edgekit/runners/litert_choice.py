"""Which runner a `.tflite` needs, read from its bytes: the native one, or the one in Python for
what LiteRT's compiled models cannot do (ai-edge-litert 2.3). Runs nothing.

They refuse variable tensors, and give no buffer for an output whose shape is known after an
inference only. Whether a shape depends on data is not in the file: an operator that makes one is
taken for it wherever it stands, as its answer may reach an output."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from flatbuffers import number_types as kinds

from edgekit.bundle.flatbuffer import Reader
from edgekit.bundle.model_file import builtin_operator
from edgekit.errors import RunnerError
from edgekit.runners.runtime import Platform

STRING = 5
"""TensorType.STRING of TensorFlow Lite's schema."""
NEEDING_PYTHON = {
    103: "UNIQUE",
    109: "WHERE",
    129: "CALL_ONCE",
    136: "HASHTABLE",
    142: "VAR_HANDLE",
    143: "READ_VARIABLE",
    144: "ASSIGN_VARIABLE",
}
"""Builtin operators whose output's shape depends on data, and those with a state."""
SHAPED_BY = {
    22: (1,),  # RESHAPE
    23: (1,),  # RESIZE_BILINEAR
    34: (1,),  # PAD
    45: (1, 2, 3),  # STRIDED_SLICE
    48: (1,),  # TOPK_V2
    60: (1,),  # PADV2
    65: (1, 2),  # SLICE
    67: (0,),  # TRANSPOSE_CONV
    68: (1,),  # SPARSE_TO_DENSE
    69: (1,),  # TILE
    70: (1,),  # EXPAND_DIMS
    85: (1,),  # ONE_HOT
    94: (0,),  # FILL
    96: (0, 1, 2),  # RANGE
    97: (1,),  # RESIZE_NEAREST_NEIGHBOR
    120: (2,),  # NON_MAX_SUPPRESSION_V4
    121: (2,),  # NON_MAX_SUPPRESSION_V5
    130: (1,),  # BROADCAST_TO
    148: (0,),  # RANDOM_UNIFORM
}
"""By builtin operator, the inputs that say how large its output is."""


def for_file(platform: Platform, model: Path) -> tuple[Platform, str]:
    """The platform with the runner that a file needs, and why, empty where it needs none in
    particular. Raises RunnerError where the target asks for the native one, which cannot run it."""
    because = "" if platform.litert_runner == "python" else why_python(model.read_bytes())
    if because and platform.litert_runner == "native":
        raise RunnerError(
            f"{model.name} does not run in the native runner: {because}",
            hint="runners.litert.kind: auto in the target",
        )
    return (replace(platform, litert_runner="python"), because) if because else (platform, "")


def why_python(data: bytes) -> str:
    """Why a `.tflite` needs the runner in Python; empty where it does not, or the file is not
    understood: then either runner says what is wrong with it."""
    try:
        return next(_reasons(Reader.of_file(data)), "")
    except (struct.error, IndexError, TypeError, ValueError, OverflowError):
        return ""


def _reasons(model: Reader) -> Iterator[str]:
    codes = [builtin_operator(code) for code in model.tables(1)]
    buffers = model.tables(4)
    for graph in model.tables(2):
        tensors = graph.tables(0)
        yield from _of_tensors(graph, tensors)
        for operator in graph.tables(3):
            code = codes[operator.number(0, kinds.Uint32Flags)]
            if code in NEEDING_PYTHON:
                yield f"it has the operator {NEEDING_PYTHON[code]}"
            inputs = operator.numbers(1, kinds.Int32Flags)
            shapes = [inputs[place] for place in SHAPED_BY.get(code, ()) if place < len(inputs)]
            if not all(_is_constant(tensors, buffers, index) for index in shapes):
                yield "a shape in it depends on data"


def _of_tensors(graph: Reader, tensors: list[Reader]) -> Iterator[str]:
    if any(tensor.number(5, kinds.BoolFlags) for tensor in tensors):
        yield "it has variable tensors"
    if any(tensor.number(1, kinds.Int8Flags) == STRING for tensor in tensors):
        yield "it has tensors of text"
    for index in graph.numbers(2, kinds.Int32Flags):
        if any(size <= 0 for size in tensors[index].numbers(0, kinds.Int32Flags)):
            yield "the shape of an output is known after an inference only"


def _is_constant(tensors: list[Reader], buffers: list[Reader], index: int) -> bool:
    if index < 0:
        return True  # left out
    buffer = buffers[tensors[index].number(2, kinds.Uint32Flags)]
    return bool(buffer.numbers(0, kinds.Uint8Flags)) or bool(buffer.number(1, kinds.Uint64Flags))
