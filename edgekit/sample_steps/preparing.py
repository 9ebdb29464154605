"""From raw values to the bytes that a model takes: pixels are normalised, numbers quantized. And
back, so that a stored sample gives raw values to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from .tensors import Stored, dequantize, quantize, samples_in

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Described(Protocol):
    """An input for one sample, of `shape` without the batch, and how raw values become what the
    model takes: (value - mean) / std for each channel."""

    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def mean(self) -> Sequence[float] | None: ...
    @property
    def std(self) -> Sequence[float] | None: ...


class DescribedInput(NamedTuple):
    """The same as plain values; without any, an input that takes what it is given."""

    shape: Sequence[int] = ()
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None


def raw_samples(
    data: bytes, specs: Sequence[Stored], described: Sequence[Described]
) -> list[list[NDArray[Any]]]:
    """The raw values of stored samples: for each sample one array an input."""
    return [
        [to_raw(sample[spec.name], spec, described[at]) for at, spec in enumerate(specs)]
        for sample in samples_in(data, specs)
    ]


def whole_input(
    raw: Sequence[NDArray[Any]], specs: Sequence[Stored], described: Sequence[Described]
) -> list[bytes]:
    """All inputs of a sample as the model takes them."""
    return [from_raw(values, specs[at], described[at]) for at, values in enumerate(raw)]


def to_raw(values: NDArray[Any], spec: Stored, described: Described) -> NDArray[Any]:
    """What the values were before they were normalised: pixels where they were."""
    real = dequantize(values, spec)
    if not _is_normalised(described):
        return np.asarray(real)
    scale, shift = _channels(described, real.ndim)
    pixels = np.clip(np.rint((real - shift) / scale), 0, 255)
    return np.asarray(pixels, dtype=np.uint8)


def from_raw(values: NDArray[Any], spec: Stored, described: Described) -> bytes:
    """The bytes that the model takes, from pixels or from real numbers."""
    if _is_normalised(described):
        scale, shift = _channels(described, values.ndim)
        values = values.astype(np.float32) * scale + shift
    return quantize(values, spec).tobytes()


def _is_normalised(described: Described) -> bool:
    return described.mean is not None or described.std is not None


def _channels(
    described: Described, dimensions: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixels times the first, plus the second, are (pixel / 255 - mean) / std. Of a series the last
    axis holds channels, of anything else the first after the batch."""
    mean = np.array(described.mean or 0.0, dtype=np.float32)
    std = np.array(described.std or 1.0, dtype=np.float32)
    scale, shift = np.broadcast_arrays(1 / (255 * std), -mean / std)
    if len(described.shape) == 2:
        return scale, shift
    layout = (-1, *[1] * (dimensions - 2))
    return scale.reshape(layout), shift.reshape(layout)
