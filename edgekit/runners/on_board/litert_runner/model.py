"""A loaded .tflite: its tensors, the buffer of one sample, one inference. The default delegate
(XNNPACK) is in use."""

from __future__ import annotations

import itertools
import math
from typing import Any

from .failure import EXIT_LOAD, Failure
from .graph import open_graph
from .options import Options

DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")


class Model:
    """A graph with its tensors allocated, and a buffer that holds one sample: the inputs one after
    the other."""

    def __init__(self, runtime: Any, options: Options) -> None:
        import numpy  # only here: the memory baseline is taken with it loaded, by the runtime

        try:
            interpreter = runtime.Interpreter(model_path=options.model, num_threads=options.threads)
            graph = open_graph(interpreter, options.signature, options.shapes)
        except (RuntimeError, ValueError) as error:
            raise Failure(EXIT_LOAD, f"cannot load the model: {error}") from None
        self._graph = graph
        self._inputs, self._outputs = graph.inputs(), graph.outputs()
        sizes = [
            math.prod(map(int, detail["shape"])) * dtype_of(detail).itemsize
            for detail in self._inputs
        ]
        self.sample: Any = numpy.zeros(sum(sizes), numpy.uint8)
        ends = list(itertools.accumulate(sizes))
        self._views = [
            (
                int(detail["index"]),
                self.sample[ends[i] - sizes[i] : ends[i]]
                .view(dtype_of(detail))
                .reshape(detail["shape"]),
            )
            for i, detail in enumerate(self._inputs)
        ]

    def describe(self) -> dict[str, Any]:
        return {
            "inputs": [described(detail) for detail in self._inputs],
            "outputs": [described(detail) for detail in self._outputs],
        }

    def run(self) -> None:
        """One inference, which is what is timed: hand over the inputs, invoke."""
        for index, view in self._views:
            self._graph.set(index, view)
        self._graph.invoke()

    def require_states(self, states: list[tuple[int, int]]) -> None:
        """Raises Failure unless each output can feed its input."""
        for number, source in states:
            what = f"--states: input {number} and output {source} "
            if number >= len(self._inputs) or source >= len(self._outputs):
                raise Failure(EXIT_LOAD, what + "are not both there")
            if list(self._inputs[number]["shape"]) != list(self._outputs[source]["shape"]):
                raise Failure(EXIT_LOAD, what + "are of different shapes")

    def carry(self, number: int, source: int) -> None:
        """Hand an output over to an input: as it is, or in the input's integers where its scale is
        another one (computed in 32 bits, as on the build host)."""
        state, output = described(self._inputs[number]), described(self._outputs[source])
        values = self._graph.get(int(self._outputs[source]["index"]))
        view = self._views[number][1]
        if all(state[key] == output[key] for key in ("dtype", "scale", "zero_point")):
            view[...] = values
        else:
            view[...] = quantized(real(values, output), state)

    def outputs(self) -> list[bytes]:
        """Their bytes after an inference. Where their shapes depend on the inputs, one may have no
        element, which the interpreter does not hand out."""
        return [
            self._graph.get(int(detail["index"])).tobytes() if all(detail["shape"]) else b""
            for detail in self._graph.outputs()
        ]

    def fill_pseudo_random(self) -> None:
        """Hashed element numbers (SplitMix64): the same bytes in both runners. Floats lie in [-1,
        1); wider integers may be indices, and stay 0."""
        import numpy

        element = 0
        for _, view in self._views:
            name = view.dtype.name
            if name in ("float32", "int8", "uint8", "bool"):
                z = (
                    numpy.arange(view.size, dtype=numpy.uint64) + numpy.uint64(element + 1)
                ) * numpy.uint64(0x9E3779B97F4A7C15)
                z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
                z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
                z = z ^ (z >> numpy.uint64(31))
                element += view.size
                if name == "float32":
                    values = (z >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(
                        8388608
                    ) - numpy.float32(1)
                else:
                    values = (
                        (z >> numpy.uint64(63 if name == "bool" else 56))
                        .astype(numpy.uint8)
                        .view(name)
                    )
                view[...] = values.reshape(view.shape)


def dtype_of(detail: dict[str, Any]) -> Any:
    import numpy

    dtype = numpy.dtype(detail["dtype"])
    if dtype.name not in DTYPES:
        raise Failure(
            EXIT_LOAD,
            f"the model has an input or output of type {dtype.name}, which edgekit does not know",
        )
    return dtype


def real(values: Any, tensor: dict[str, Any]) -> Any:
    """What a tensor's values stand for: (integer - zero_point) * scale."""
    import numpy

    values = values.astype(numpy.float32)
    if tensor["scale"] is None:
        return values
    return (values - numpy.float32(tensor["zero_point"])) * numpy.float32(tensor["scale"])


def quantized(values: Any, tensor: dict[str, Any]) -> Any:
    """round(real / scale) + zero_point, saturated to the tensor's type."""
    import numpy

    if tensor["scale"] is None:
        return values
    limits = numpy.iinfo(tensor["dtype"])
    integers = numpy.rint(values / numpy.float32(tensor["scale"]))
    return numpy.clip(integers + numpy.float32(tensor["zero_point"]), limits.min, limits.max)


def described(detail: dict[str, Any]) -> dict[str, Any]:
    scales = detail["quantization_parameters"]["scales"]
    quantized = len(scales) == 1 and float(scales[0]) > 0
    return {
        "name": str(detail["name"])[:256],
        "dtype": dtype_of(detail).name,
        "shape": [int(size) for size in detail["shape"]],
        "scale": float(scales[0]) if quantized else None,
        "zero_point": (
            int(detail["quantization_parameters"]["zero_points"][0]) if quantized else None
        ),
    }
