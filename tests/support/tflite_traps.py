"""`.tflite` files with what a runner may get wrong: tensors that are listed twice or unused, types
of every width, signatures in another order than their graph, states and operators that only the
interpreter has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.support.tflite_graphs import File, schema, write_detections, write_loop, write_where

FLOATS = ([1, 4], "FLOAT32")


def sum_of(
    inputs: Sequence[int], outputs: Sequence[int], *, signature: bool = True, spare: bool = False
) -> File:
    """c = a + b (tensors 0, 1 and 2), with these inputs and outputs."""
    file = File()
    names = ["a", "b", "c", *(["unused"] if spare else [])]
    add = file.operator("ADD", [0, 1], [2], schema().AddOptionsT())
    file.graph("main", [(name, *FLOATS) for name in names], inputs, outputs, [add], {})
    if signature:
        sign(file, names, inputs, outputs)
    return file


def sign(file: File, names: Sequence[str], inputs: Sequence[int], outputs: Sequence[int]) -> None:
    """Add a signature of the first graph that lists tensors in this order."""
    tfl = schema()

    def entries(indices: Sequence[int], kind: str) -> list[Any]:
        made = []
        for place, index in enumerate(indices):
            entry = tfl.TensorMapT()
            entry.name, entry.tensorIndex = f"{kind}{place}_{names[index]}".encode(), index
            made.append(entry)
        return made

    definition = tfl.SignatureDefT()
    definition.signatureKey, definition.subgraphIndex = b"serving_default", 0
    definition.inputs, definition.outputs = entries(inputs, "in"), entries(outputs, "out")
    file.model.signatureDefs = [definition]


def _constant_output() -> File:
    file = File()
    add = file.operator("ADD", [0, 1], [2], schema().AddOptionsT())
    tensors = [(name, *FLOATS) for name in ("a", "constant", "c")]
    constant = np.array([[1, 2, 3, 4]], np.float32)
    file.graph("main", tensors, [0], [2, 1], [add], {1: constant})
    return file


def _read_again() -> File:
    """An output that a later operator reads, listed after that one's."""
    file, tfl = File(), schema()
    operators = [
        file.operator("ADD", [0, 1], [2], tfl.AddOptionsT()),
        file.operator("MUL", [2, 0], [3], tfl.MulOptionsT()),
    ]
    tensors = [(name, *FLOATS) for name in ("a", "b", "c", "d")]
    file.graph("main", tensors, [0, 1], [3, 2], operators, {})
    return file


def _wide() -> File:
    """64-bit integers that do not fit into 32 bits stay whole, and half floats become floats."""
    file, tfl = File(), schema()
    cast = tfl.CastOptionsT()
    cast.inDataType, cast.outDataType = tfl.TensorType.FLOAT16, tfl.TensorType.FLOAT32
    operators = [
        file.operator("ADD", [0, 0], [1], tfl.AddOptionsT()),
        file.operator("CAST", [2], [3], cast),
    ]
    tensors = [
        ("a", [1, 3], "INT64"),
        ("twice", [1, 3], "INT64"),
        ("half", [2, 2], "FLOAT16"),
        ("float", [2, 2], "FLOAT32"),
    ]
    file.graph("main", tensors, [0, 2], [1, 3], operators, {})
    return file


def _scalar() -> File:
    file = File()
    add = file.operator("ADD", [0, 1], [2], schema().AddOptionsT())
    file.graph("main", [(name, [], "FLOAT32") for name in "abc"], [0, 1], [2], [add], {})
    return file


def _difference(listed: Sequence[int]) -> File:
    """b - a, its inputs b and a, which the signature lists in an order of its own."""
    file = File()
    subtract = file.operator("SUB", [1, 0], [2], schema().SubOptionsT())
    file.graph("main", [(name, *FLOATS) for name in "abc"], [1, 0], [2], [subtract], {})
    sign(file, "abc", listed, [2])
    return file


RUNNABLE: dict[str, Callable[[], bytes]] = {
    "plain": lambda: sum_of([0, 1], [2]).data,
    "unsigned": lambda: sum_of([0, 1], [2], signature=False).data,
    "input_is_output": lambda: sum_of([0, 1], [2, 0]).data,
    "output_twice": lambda: sum_of([0, 1], [2, 2]).data,
    "unused_input": lambda: sum_of([0, 3, 1], [2], spare=True).data,
    "constant_output": lambda: _constant_output().data,
    "read_again": lambda: _read_again().data,
    "wide": lambda: _wide().data,
    "scalar": lambda: _scalar().data,
    "swapped": lambda: _difference([1, 0]).data,
    "listed_otherwise": lambda: _difference([0, 1]).data,
    "loop": write_loop,
    "detections": write_detections,
}
"""What the native runner must give as the one in Python does."""


def _stateful() -> bytes:
    file = sum_of([0], [2], signature=False)
    file.model.subgraphs[0].tensors[1].isVariable = True
    return file.data


def _reshaped_by_an_input() -> bytes:
    file = File()
    reshape = file.operator("RESHAPE", [0, 1], [2], schema().ReshapeOptionsT())
    tensors = [("x", *FLOATS), ("shape", [2], "INT32"), ("y", [2, 2], "FLOAT32")]
    file.graph("main", tensors, [0, 1], [2], [reshape], {})
    return file.data


FOR_PYTHON: dict[str, tuple[Callable[[], bytes], str]] = {
    "variable": (_stateful, "it has variable tensors"),
    "where": (
        lambda: write_where([0, 2]),
        "the shape of an output is known after an inference only",
    ),
    "where_with_a_shape": (lambda: write_where([4, 2]), "it has the operator WHERE"),
    "reshaped_by_an_input": (_reshaped_by_an_input, "a shape in it depends on data"),
}
"""What only the runner in Python takes, and why."""


def custom_operator(name: str) -> bytes:
    """A sum by an operator that no runtime has."""
    file = File()
    add = file.operator(name, [0, 1], [2], custom=b"\0")
    file.graph("main", [(each, *FLOATS) for each in "abc"], [0, 1], [2], [add], {})
    return file.data
