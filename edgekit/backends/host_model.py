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
from edgekit.sample_steps.tensors import dequantize, quantize
from edgekit.states import STATELESS, States, stepped

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

    def __call__(self, samples: Mapping[str, NDArray[Any]], states: States = STATELESS) -> Arrays:
        """Real outputs of shape (N, …) by name for real inputs of shape (N, *sample), one inference
        each; of a model with states, of shape (N·steps, …) for series of shape (N, steps, *sample).
        Integers that stand for no real number stay integers."""
        if states:
            start = states.start(length(samples), zeros)
            steps = [outputs for _, outputs in stepped(self, samples, states, start)]
            return {
                name: np.concatenate(np.stack([step[name] for step in steps], 1))
                for name in steps[0]
            }
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


def zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """States at the start of series."""
    return np.zeros(shape, np.float32)


def length(arrays: Mapping[str, NDArray[Any]]) -> int:
    """How many samples arrays of shape (N, …) hold."""
    return len(next(iter(arrays.values())))


def rows(arrays: Mapping[str, NDArray[Any]], index: int) -> Arrays:
    """One sample of each array, as a batch of one."""
    return {name: values[index : index + 1] for name, values in arrays.items()}


def sample_bytes(arrays: Mapping[str, NDArray[Any]], specs: Sequence[TensorSpec]) -> bytes:
    """One sample as runners read and write it: the tensors' bytes, one after the other."""
    return b"".join(np.ascontiguousarray(arrays[spec.name]).tobytes() for spec in specs)
