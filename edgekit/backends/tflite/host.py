"""A `.tflite` in LiteRT's interpreter, on the build host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.backends.host_model import Arrays, HostModel
from edgekit.backends.tflite.delegation import litert_delegation
from edgekit.bundle.manifest import TensorSpec
from edgekit.errors import ExportError


def open_tflite(
    path: Path, *, inputs: Sequence[str], outputs: Sequence[str], threads: int
) -> HostModel:
    """Load a `.tflite` with LiteRT's default XNNPACK delegate, and see what the delegate took.

    The converter calls the inputs `args_0`, `args_1`, … in the order of the model's, and sorts the
    signature's outputs by name: tensors are matched by these names, never by position. `inputs` and
    `outputs` are the model's own names.

    Raises ExportError when the runtime does not take the file, or a tensor is missing."""
    interpreter = _load(path, threads)
    runner = interpreter.get_signature_runner()
    names = {f"args_{position}": name for position, name in enumerate(inputs)}
    file_names = {name: file_name for file_name, name in names.items()}
    input_tensors = _by_index(runner.get_input_details(), names)
    output_tensors = _by_index(runner.get_output_details(), {name: name for name in outputs})
    input_details = interpreter.get_input_details()
    output_details = interpreter.get_output_details()
    readers = {
        output_tensors[detail["index"]]: interpreter.tensor(detail["index"])
        for detail in output_details
    }
    writers = {
        input_tensors[detail["index"]]: interpreter.tensor(detail["index"])
        for detail in input_details
    }

    def run(sample: Arrays) -> Arrays:
        for name, write in writers.items():
            write()[...] = sample[name]
        interpreter.invoke()
        return {name: np.array(read()) for name, read in readers.items()}

    return HostModel(
        tuple(
            _spec(input_tensors[detail["index"]], detail, file_names) for detail in input_details
        ),
        tuple(_spec(output_tensors[detail["index"]], detail) for detail in output_details),
        run,
        _delegation(interpreter),
    )


def _load(path: Path, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ExportError(
            f"LiteRT does not load the artifact: {error}",
            hint="this is a fault of the exporter: please report the model",
        ) from None
    return interpreter


def _by_index(details: Mapping[str, Any], names: Mapping[str, str]) -> dict[int, str]:
    """The model's name of each tensor, by the tensor's index in the file."""
    if details.keys() != names.keys():
        raise ExportError(
            f"the .tflite has the tensors {', '.join(sorted(details))} where the model has"
            f" {', '.join(names.values())}",
            hint="inputs that the model does not use cannot be exported: take them out",
        )
    return {int(detail["index"]): names[own_name] for own_name, detail in details.items()}


def _delegation(interpreter: Any) -> Any:
    types = {
        detail["index"]: np.dtype(detail["dtype"]).name
        for detail in interpreter.get_tensor_details()
    }
    return litert_delegation(interpreter._get_ops_details(), types)


def _spec(name: str, detail: Any, file_names: Mapping[str, str] | None = None) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    quantized = dtype.kind in "iu" and scale > 0
    return TensorSpec(
        name=name,
        dtype=dtype.name,
        shape=tuple(int(size) for size in detail["shape"]),
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
        file_name=(file_names or {}).get(name, name),
    )
