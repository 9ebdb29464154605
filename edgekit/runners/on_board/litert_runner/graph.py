"""Which graph of a .tflite is run: its main one, or that of a signature. How its tensors are
reached."""

from __future__ import annotations

from typing import Any

from .failure import EXIT_LOAD, Failure


class MainGraph:
    """What runs where no signature is named, its tensors in the order of the file."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self.allocate = interpreter.allocate_tensors
        self.resize = interpreter.resize_tensor_input
        self.set, self.invoke, self.get = (
            interpreter.set_tensor,
            interpreter.invoke,
            interpreter.get_tensor,
        )

    def inputs(self) -> list[dict[str, Any]]:
        return list(self._interpreter.get_input_details())

    def outputs(self) -> list[dict[str, Any]]:
        return list(self._interpreter.get_output_details())


class SignatureGraph:
    """The graph of a signature, its tensors by the signature's names and in their order.

    It is reached as the interpreter's own SignatureRunner does, which itself cannot be timed: at
    each call it allocates anew and copies the outputs."""

    def __init__(self, interpreter: Any, signature: str) -> None:
        self._runner = interpreter.get_signature_runner(signature)
        self._wrapper, self._number = interpreter._interpreter, self._runner._subgraph_index

    def inputs(self) -> list[dict[str, Any]]:
        return named(self._runner.get_input_details())

    def outputs(self) -> list[dict[str, Any]]:
        return named(self._runner.get_output_details())

    def resize(self, index: int, shape: list[int]) -> None:
        import numpy

        sizes = numpy.array(shape, numpy.int32)
        self._wrapper.ResizeInputTensor(index, sizes, False, self._number)

    def allocate(self) -> None:
        self._wrapper.AllocateTensors(self._number)

    def set(self, index: int, values: Any) -> None:
        self._wrapper.SetTensor(index, values, self._number)

    def invoke(self) -> None:
        self._wrapper.Invoke(self._number)

    def get(self, index: int) -> Any:
        return self._wrapper.GetTensor(index, self._number)


def named(details: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [dict(details[name], name=name) for name in sorted(details)]


def open_graph(
    interpreter: Any, signature: str, shapes: dict[int, list[int]]
) -> MainGraph | SignatureGraph:
    """The graph with its tensors allocated, some inputs by their numbers in other shapes."""
    graph = SignatureGraph(interpreter, signature) if signature else MainGraph(interpreter)
    inputs = graph.inputs()
    for number, shape in shapes.items():
        if number >= len(inputs):
            raise Failure(EXIT_LOAD, "--shapes: the model has fewer inputs")
        graph.resize(int(inputs[number]["index"]), shape)
    graph.allocate()
    return graph
