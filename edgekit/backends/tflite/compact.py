"""A smaller `.tflite` that computes the same. Owns the rewriting of a converted file; no tensor,
operator, number or signature changes.

The converter writes each tensor's name as the whole Python call path, often of several layers (300
characters and more), and for every channel a zero point of eight bytes that is zero. In a small
int8 network these are a third of the file. Here a tensor is called by its layer, as `named_modules`
calls it, and equal vectors are written once. Constants are aligned to the 16 bytes that the schema
asks for."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from numpy.typing import NDArray

ALIGNMENT = 16
LARGEST = 1 << 30
"""A flatbuffer ends at 2 GiB; the builder doubles its memory as it grows."""


def compact(data: bytes) -> bytes:
    """Rewrite a `.tflite`. What is larger than 1 GiB is returned as it is. Constants outside the
    flatbuffer, where ai-edge-quantizer puts those of larger models, come into it."""
    model = tfl.ModelT.InitFromObj(tfl.Model.GetRootAs(data, 0))
    if len(data) > LARGEST:
        return data
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    for graph in model.subgraphs:
        ends = {*graph.inputs, *graph.outputs}
        taken = {graph.tensors[index].name for index in ends}
        for index, tensor in enumerate(graph.tensors):
            if index not in ends:
                tensor.name = _unused(layer_name(tensor.name.decode(errors="replace")), taken)
    builder = _SharingBuilder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def layer_name(name: str) -> str:
    """The layer of a tensor that the converter named:
    `pkg.Net/pkg.Sequential_features/torch.nn.modules.conv.Conv2d_0;2` is of `features.0`.

    A name may join the places of several layers that became one operator, the first one last. Other
    names are kept."""
    places = [place for place in name.split(";") if "/" in place or "." in place]
    if not places:
        return name
    parts = places[-1].split("/")
    # `package.Class_attribute`: neither a package nor, as a rule, a class holds an underscore after
    # its first letter.
    attributes = [part.rpartition(".")[2].lstrip("_").partition("_")[2] for part in parts[1:]]
    return ".".join(filter(None, attributes)) or parts[0].rpartition(".")[2]


def _unused(name: str, taken: set[Any]) -> bytes:
    """`name`, or `name:1`, `name:2`, …; marks it as taken."""
    count, unused = 0, name.encode()
    while unused in taken:
        count += 1
        unused = f"{name}:{count}".encode()
    taken.add(unused)
    return unused


class _SharingBuilder(flatbuffers.Builder):
    """Writes a vector that was written before as a reference to it."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:
        key = (x.dtype.str, x.tobytes())
        if key not in self.written:
            if x.dtype == np.uint8:  # the constants
                self.written[key] = self._aligned(key[1])
            else:
                self.written[key] = super().CreateNumpyVector(x)
        return self.written[key]

    def _aligned(self, data: bytes) -> int:
        self.StartVector(1, len(data), ALIGNMENT)
        self.head -= len(data)
        self.Bytes[self.head : self.head + len(data)] = data
        self.vectorNumElems = len(data)
        return int(self.EndVector())
