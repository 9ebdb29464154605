"""Artifacts on the build host: load one, run it sample by sample, in real numbers or in its own
bytes.

Owns the two host runtimes behind one small seam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Delegation, TensorSpec
from edgekit.bundle.tensors import dequantize, quantize
from edgekit.errors import ExportError
from edgekit.export.delegation import litert_delegation

Array = NDArray[Any]


@dataclass(frozen=True)
class HostModel:
    """A loaded artifact with one input and one output. `run` takes and gives one sample in the
    tensors' own types."""

    input: TensorSpec
    output: TensorSpec
    run: Callable[[Array], Array]

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Real outputs (N, …) of real inputs (N, *sample shape), one inference each."""
        prepared = quantize(samples, self.input)
        outputs = np.stack(
            [self.run(prepared[index : index + 1])[0] for index in range(len(prepared))]
        )
        return dequantize(outputs, self.output)


def open_pte(path: Path, *, threads: int) -> HostModel:
    """Load a `.pte` into ExecuTorch's Python binding. Raises ExportError when the runtime does not
    take it."""
    import executorch.kernels.quantized  # noqa: F401  registers the quantized kernels
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    try:
        if portable_lib._threadpool_get_thread_count() != threads:
            portable_lib._unsafe_reset_threadpool(
                threads
            )  # unsafe while a program runs; none is loaded yet
        method = Runtime.get().load_program(str(path)).load_method("forward")
    except RuntimeError as error:
        raise ExportError(
            f"ExecuTorch does not load the artifact: {error}",
            hint="is this a CPU that XNNPACK supports?",
        ) from None
    assert method is not None
    meta = method.metadata
    specs = [
        _pte_spec(f"{kind}_0", info)
        for kind, info in (
            ("input", meta.input_tensor_meta(0)),
            ("output", meta.output_tensor_meta(0)),
        )
    ]

    def run(sample: Array) -> Array:
        return np.asarray(method.execute((torch.from_numpy(sample),))[0].numpy())

    return HostModel(specs[0], specs[1], run)


def _pte_spec(name: str, info: Any) -> TensorSpec:
    dtypes = {
        6: "float32",
        5: "float16",
        1: "int8",
        0: "uint8",
        2: "int16",
        3: "int32",
        4: "int64",
        11: "bool",
    }
    return TensorSpec(name=name, dtype=dtypes[int(info.dtype())], shape=tuple(info.sizes()))  # type: ignore[arg-type]


def open_tflite(path: Path, *, threads: int) -> tuple[HostModel, Delegation]:
    """Load a `.tflite` into LiteRT's interpreter with its default XNNPACK delegate, and see what
    the delegate took.

    Raises ExportError when the runtime does not take it.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ExportError(
            f"LiteRT does not load the artifact: {error}",
            hint="this is a fault of the exporter: please report the model",
        ) from None
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    signature = next(iter(interpreter.get_signature_list().values()))
    types = {
        detail["index"]: np.dtype(detail["dtype"]).name
        for detail in interpreter.get_tensor_details()
    }
    delegation = litert_delegation(interpreter._get_ops_details(), types)
    read, write = interpreter.tensor(target["index"]), interpreter.tensor(source["index"])

    def run(sample: Array) -> Array:
        write()[...] = sample
        interpreter.invoke()
        return np.array(read())

    return (
        HostModel(
            _tflite_spec(signature["inputs"][0], source),
            _tflite_spec(signature["outputs"][0], target),
            run,
        ),
        delegation,
    )


def _tflite_spec(name: str, detail: Any) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    quantized = dtype.kind in "iu" and scale > 0
    return TensorSpec(
        name=name,
        dtype=dtype.name,
        shape=tuple(int(size) for size in detail["shape"]),
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )
