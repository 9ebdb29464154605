"""Real numbers and the integers of quantized tensors: q = round(real / scale) + zero_point,
saturated to the tensor's type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import TensorSpec


def quantize(values: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """Real values in the type of a tensor, saturating. A tensor that is not quantized is only
    cast."""
    if spec.scale is None:
        return np.ascontiguousarray(values, dtype=spec.dtype)
    limits = np.iinfo(spec.dtype)
    integers = np.rint(values / np.float32(spec.scale)) + np.float32(spec.zero_point or 0)
    return np.ascontiguousarray(np.clip(integers, limits.min, limits.max).astype(spec.dtype))


def dequantize(values: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """The real values that a tensor stands for, as float32: (integer − zero_point) · scale.
    Integers and truth values that are not quantized stay what they are."""
    if spec.scale is not None:
        return (values.astype(np.float32) - np.float32(spec.zero_point or 0)) * np.float32(
            spec.scale
        )
    if values.dtype.kind == "f":
        return np.asarray(values, dtype=np.float32)
    return values
