"""`.tflite` files as other converters write them and edgekit's exporters do not: a loop whose body
is a graph of its own, and outputs whose shape is known after the call only. They run in LiteRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

Constants = Mapping[int, NDArray[Any]]
"""The constant tensors of a graph, by their index."""


def schema() -> Any:
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


class File:
    """A model that grows by graphs; `data` is what is written."""

    def __init__(self) -> None:
        tfl = schema()
        self.model = tfl.ModelT()
        self.model.version, self.model.description = 3, b"made by a test"
        self.model.buffers = [tfl.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], []

    def operator(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        custom: bytes = b"",
    ) -> Any:
        """One of the built-in operators, or a custom one by its name."""
        tfl = schema()
        code = tfl.OperatorCodeT()
        builtin = getattr(tfl.BuiltinOperator, name, tfl.BuiltinOperator.CUSTOM)
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        code.customCode, code.version = (name.encode() if custom else None), 1
        self.model.operatorCodes.append(code)
        made = tfl.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), list(outputs)
        if options is not None:
            made.builtinOptionsType = getattr(
                tfl.BuiltinOptions, type(options).__name__.removesuffix("T")
            )
            made.builtinOptions = options
        made.customOptions = list(custom) or None
        return made

    def graph(
        self,
        name: str,
        tensors: Sequence[tuple[str, Sequence[int], str]],
        inputs: Sequence[int],
        outputs: Sequence[int],
        operators: Sequence[Any],
        constants: Constants,
    ) -> None:
        """Tensors are (name, shape, type)."""
        tfl = schema()
        graph = tfl.SubGraphT()
        graph.name, graph.operators = name.encode(), list(operators)
        graph.inputs, graph.outputs, graph.tensors = list(inputs), list(outputs), []
        for index, (tensor_name, shape, dtype) in enumerate(tensors):
            tensor = tfl.TensorT()
            tensor.name, tensor.shape = tensor_name.encode(), list(shape)
            tensor.type, tensor.buffer = getattr(tfl.TensorType, dtype), 0
            if index in constants:
                buffer = tfl.BufferT()
                buffer.data = list(constants[index].tobytes())
                self.model.buffers.append(buffer)
                tensor.buffer = len(self.model.buffers) - 1
            graph.tensors.append(tensor)
        self.model.subgraphs.append(graph)

    @property
    def data(self) -> bytes:
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def write_loop() -> bytes:
    """x + 1 until it is 10 or more: `While`, its condition and its body in graphs of their own, as
    of a recurrent layer of Keras. No signature."""
    tfl, file = schema(), File()
    loop = tfl.WhileOptionsT()
    loop.condSubgraphIndex, loop.bodySubgraphIndex = 1, 2
    float1 = ("FLOAT32",)
    file.graph(
        "main",
        [("x", [1], *float1), ("y", [1], *float1)],
        [0],
        [1],
        [file.operator("WHILE", [0], [1], loop)],
        {},
    )
    limit, step = (np.array([value], np.float32) for value in (10, 1))
    less = file.operator("LESS", [0, 1], [2], tfl.LessOptionsT())
    condition = [("i", [1], *float1), ("ten", [1], *float1), ("go_on", [1], "BOOL")]
    file.graph("condition", condition, [0], [2], [less], {1: limit})
    add = file.operator("ADD", [0, 1], [2], tfl.AddOptionsT())
    body = [("i", [1], *float1), ("one", [1], *float1), ("next", [1], *float1)]
    file.graph("body", body, [0], [2], [add], {1: step})
    return file.data


def write_where(shape: Sequence[int]) -> bytes:
    """The places of positive numbers, as many as there are. The file has `shape` for them, which
    is not theirs."""
    tfl, file = schema(), File()
    tensors = [
        ("x", [1, 4], "FLOAT32"),
        ("zero", [1], "FLOAT32"),
        ("positive", [1, 4], "BOOL"),
        ("places", shape, "INT64"),
    ]
    operators = [
        file.operator("GREATER", [0, 1], [2], tfl.GreaterOptionsT()),
        file.operator("WHERE", [2], [3], tfl.WhereOptionsT()),
    ]
    file.graph("main", tensors, [0], [3], operators, {1: np.zeros(1, np.float32)})
    return file.data


def write_detections(boxes: int = 12, classes: int = 3, most: int = 5) -> bytes:
    """The end of an SSD: TFLite_Detection_PostProcess, whose four outputs have no shape in the
    file, as TensorFlow's converter writes it."""
    from flatbuffers import flexbuffers

    options = flexbuffers.Builder()
    settings: dict[str, float | int | bool] = {
        "max_detections": most,
        "max_classes_per_detection": 1,
        "detections_per_class": 100,
        "use_regular_nms": False,
        "nms_score_threshold": 0.1,
        "nms_iou_threshold": 0.6,
        "num_classes": classes,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    with options.Map():
        for key, value in settings.items():
            if isinstance(value, bool):
                options.Bool(key, value)
            elif isinstance(value, int):
                options.Int(key, value)
            else:
                options.Float(key, value)
    file = File()
    outputs = ["boxes", "classes", "scores", "count"]
    tensors: list[tuple[str, Sequence[int], str]] = [
        ("encodings", [1, boxes, 4], "FLOAT32"),
        ("predictions", [1, boxes, classes + 1], "FLOAT32"),
        ("anchors", [boxes, 4], "FLOAT32"),
        *((name, [], "FLOAT32") for name in outputs),
    ]
    anchors = np.random.default_rng(0).uniform(0.2, 0.8, (boxes, 4)).astype(np.float32)
    custom = bytes(options.Finish())
    end = file.operator("TFLite_Detection_PostProcess", [0, 1, 2], [3, 4, 5, 6], custom=custom)
    file.graph("main", tensors, [0, 1], [3, 4, 5, 6], [end], {2: anchors})
    return file.data
