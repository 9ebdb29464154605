"""An artifact that is loaded on the build host: run it sample by sample, in real numbers or in its
own types. Owns the value that every backend's `open` gives; the runtimes are opened by the
backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Delegation, TensorSpec
from edgekit.bundle.tensors import dequantize, quantize

Arrays = dict[str, NDArray[Any]]
"""Arrays by the name of an input or output, in the order of the artifact."""


@dataclass(frozen=True)
class HostModel:
    """A loaded artifact. `inputs` and `outputs` are in the artifact's own order.

    `run` takes and gives one sample, each tensor of the shape and type of its spec. `delegation` is
    what the runtime's delegate took, where only the runtime knows."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    run: Callable[[Arrays], Arrays]
    delegation: Delegation | None = None

    def __call__(self, samples: Mapping[str, NDArray[Any]]) -> Arrays:
        """Real outputs of shape (N, …) by name for real inputs of shape (N, *sample), one inference
        each. Integers that stand for no real number stay integers."""
        own = self.prepared(samples)
        outputs = [self.run(rows(own, index)) for index in range(length(own))]
        stacked = {
            spec.name: np.stack([output[spec.name][0] for output in outputs])
            for spec in self.outputs
        }
        return {spec.name: dequantize(stacked[spec.name], spec) for spec in self.outputs}

    def prepared(self, samples: Mapping[str, NDArray[Any]]) -> Arrays:
        """Real inputs in the artifact's own types and order."""
        return {spec.name: quantize(samples[spec.name], spec) for spec in self.inputs}


def length(arrays: Mapping[str, NDArray[Any]]) -> int:
    """How many samples arrays of shape (N, …) hold."""
    return len(next(iter(arrays.values())))


def rows(arrays: Mapping[str, NDArray[Any]], index: int) -> Arrays:
    """One sample of each array, as a batch of one."""
    return {name: values[index : index + 1] for name, values in arrays.items()}


def sample_bytes(arrays: Mapping[str, NDArray[Any]], specs: Sequence[TensorSpec]) -> bytes:
    """One sample as runners read and write it: the tensors' bytes, one after the other."""
    return b"".join(np.ascontiguousarray(arrays[spec.name]).tobytes() for spec in specs)
