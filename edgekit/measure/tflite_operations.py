"""The operators of a `.tflite` with the modules of the PyTorch model they came from, for the rows
of a profile. Read from the names that litert-torch gives to tensors; other converters write others,
which name no module here. Runs nothing.

A tensor is called by the modules around it, each by its class and its own name:
`net.Net/torch.nn.modules.container.Sequential_features/torch.nn.modules.conv.Conv2d_0;`, several
where operators were fused (`…ReLU_1;;…Conv2d_0;1`), the operator's own last."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Sequence
from itertools import groupby

from flatbuffers import number_types as kinds

from edgekit.bundle.flatbuffer import Reader
from edgekit.bundle.manifest import Operation
from edgekit.bundle.model_file import builtin_operator
from edgekit.measure.protocol_lines import OperatorValues

_LEVEL = re.compile(r"[A-Za-z_][\w.]*\.[A-Za-z]\w*?_(\w+)")
_NAMES = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    18: "MUL",
    25: "SOFTMAX",
    34: "PAD",
    40: "MEAN",
    41: "SUB",
    67: "TRANSPOSE_CONV",
    117: "HARD_SWISH",
    126: "BATCH_MATMUL",
}
"""Of builtin operators, those that profiling.py counts by families."""


def tflite_operations(data: bytes, ran: Sequence[OperatorValues]) -> tuple[Operation, ...]:
    """The operators of the main graph in their order, each in the partition of the delegate that
    ran it; none where the file is not understood, or where that is not certain.

    A profile names each operator that ran outside the delegate by its index. What stands between
    two of them ran in one partition."""
    try:
        nodes = _nodes(Reader.of_file(data))
    except (struct.error, IndexError, TypeError, ValueError, OverflowError):
        return ()
    outside = {operator.instruction for operator in ran if not operator.delegated}
    count = len({operator.instruction for operator in ran if operator.delegated})
    partitions = _partitions(len(nodes), outside)
    if len(set(partitions) - {None}) != count:
        return ()
    return tuple(
        Operation(operator=name, layer=layer, delegate=partition)
        for (name, layer), partition in zip(nodes, partitions, strict=True)
    )


def _partitions(nodes: int, outside: Collection[int]) -> list[int | None]:
    """The number of each node's stretch of delegated nodes, None outside."""
    numbers: list[int | None] = []
    count = 0
    for is_outside, stretch in groupby(range(nodes), key=lambda node: node in outside):
        numbers += [None if is_outside else count] * len([*stretch])
        count += not is_outside
    return numbers


def _nodes(model: Reader) -> list[tuple[str, str]]:
    """The name and the module of each operator of the main graph."""
    codes = [builtin_operator(code) for code in model.tables(1)]
    graph = model.tables(2)[0]
    names = [tensor.text(3) for tensor in graph.tables(0)]
    nodes = []
    for operator in graph.tables(3):
        outputs = operator.numbers(2, kinds.Int32Flags)
        inputs = operator.numbers(1, kinds.Int32Flags)
        code = codes[operator.number(0, kinds.Uint32Flags)]
        layer = _layer([names[index] for index in (*outputs, *inputs[1:]) if index >= 0])
        nodes.append((_NAMES.get(code, str(code)), layer))
    return nodes


def _layer(tensors: Sequence[str]) -> str:
    """The module that the first name tells, of the output, else of weights; empty without any."""
    return next(filter(None, map(module_of, tensors)), "")


def module_of(tensor: str) -> str:
    """The path of the module in a tensor's name, such as `features.0`; empty where it has none."""
    location = tensor.split(";;")[-1].partition(";")[0]
    levels = [_LEVEL.fullmatch(level) for level in location.split("/")[1:]]
    return ".".join(level[1] for level in levels if level) if levels and all(levels) else ""
