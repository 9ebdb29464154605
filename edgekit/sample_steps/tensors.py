"""Real numbers and the integers of quantized tensors: q = round(real / scale) + zero_point,
saturated to the tensor's type. And files of samples, which hold one tensor after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Stored(Protocol):
    """How a model stores a tensor; `scale` is None where it is not quantized."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def scale(self) -> float | None: ...
    @property
    def zero_point(self) -> int | None: ...


class StoredTensor(NamedTuple):
    """The same as plain values."""

    name: str
    dtype: str
    shape: Sequence[int]
    scale: float | None
    zero_point: int | None


def quantize(values: NDArray[Any], spec: Stored) -> NDArray[Any]:
    """Real values in the type of a tensor, saturating. A tensor that is not quantized is only
    cast."""
    if spec.scale is None:
        return np.ascontiguousarray(values, dtype=spec.dtype)
    limits = np.iinfo(spec.dtype)
    integers = np.rint(values / np.float32(spec.scale)) + np.float32(spec.zero_point or 0)
    return np.ascontiguousarray(np.clip(integers, limits.min, limits.max).astype(spec.dtype))


def dequantize(values: NDArray[Any], spec: Stored) -> NDArray[Any]:
    """The real values that a tensor stands for, as float32: (integer − zero_point) · scale.
    Integers and truth values that are not quantized stay what they are."""
    if spec.scale is not None:
        return (values.astype(np.float32) - np.float32(spec.zero_point or 0)) * np.float32(
            spec.scale
        )
    if values.dtype.kind == "f":
        return np.asarray(values, dtype=np.float32)
    return values


def samples_in(data: bytes, specs: Sequence[Stored]) -> Iterator[dict[str, NDArray[Any]]]:
    """Samples of concatenated tensors, in their own types and shapes, by name."""
    dtypes = {spec.name: np.dtype(spec.dtype).newbyteorder("<") for spec in specs}
    at = 0
    while at < len(data):
        sample = {}
        for spec in specs:
            count = int(np.prod(spec.shape, dtype=np.int64))
            values = np.frombuffer(data, dtypes[spec.name], count, at)
            sample[spec.name] = values.reshape(spec.shape)
            at += values.nbytes
        yield sample


def real_values(
    sample: dict[str, NDArray[Any]], specs: Sequence[Stored]
) -> dict[str, NDArray[Any]]:
    """What the tensors of a sample stand for."""
    return {spec.name: dequantize(sample[spec.name], spec) for spec in specs}
