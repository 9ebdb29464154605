"""A `.pte` in ExecuTorch's Python binding, on the build host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.backends.host_model import Arrays, HostModel
from edgekit.bundle.manifest import TensorSpec
from edgekit.bundle.model_file import PTE_DTYPES
from edgekit.errors import ExportError


def open_pte(
    path: Path, *, inputs: Sequence[str], outputs: Sequence[str], threads: int
) -> HostModel:
    """Load a `.pte`. Its tensors have no names of their own: `inputs` and `outputs` are the
    model's, in the order in which it takes and returns them, which a `.pte` keeps.

    Raises ExportError when the runtime does not take the file, or has another number of tensors."""
    method = _load(path, threads)
    meta = method.metadata
    input_specs = _specs(inputs, meta.num_inputs(), meta.input_tensor_meta)
    output_specs = _specs(outputs, meta.num_outputs(), meta.output_tensor_meta)

    def run(sample: Arrays) -> Arrays:
        import torch

        tensors = [torch.from_numpy(sample[name]) for name in inputs]
        values = method.execute(tensors)
        return {
            name: np.asarray(value.numpy()) for name, value in zip(outputs, values, strict=True)
        }

    return HostModel(input_specs, output_specs, run)


def _load(path: Path, threads: int) -> Any:
    import executorch.kernels.quantized  # noqa: F401  registers the quantized kernels
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    try:
        if portable_lib._threadpool_get_thread_count() != threads:
            # Unsafe while a program runs; none is loaded yet.
            portable_lib._unsafe_reset_threadpool(threads)
        method = Runtime.get().load_program(str(path)).load_method("forward")
    except RuntimeError as error:
        raise ExportError(
            f"ExecuTorch does not load the artifact: {error}",
            hint="XNNPACK refuses an operator of this model, or this CPU: try export.backends:"
            " [portable]",
        ) from None
    assert method is not None
    return method


def _specs(
    names: Sequence[str], count: int, meta_of: Callable[[int], Any]
) -> tuple[TensorSpec, ...]:
    if count != len(names):
        raise ExportError(
            f"the .pte has {count} tensors where the model has {len(names)}: {', '.join(names)}",
            hint="inputs that the model does not use cannot be exported: take them out",
        )
    return tuple(_spec(name, meta_of(index)) for index, name in enumerate(names))


def _spec(name: str, info: Any) -> TensorSpec:
    dtype = PTE_DTYPES[int(info.dtype())]
    return TensorSpec(name=name, dtype=dtype, shape=tuple(info.sizes()))  # type: ignore[arg-type]
