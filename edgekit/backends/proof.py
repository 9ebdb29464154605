"""Proof by re-reading: every weight of the graph is looked for in the artifact's own bytes. Owns
the comparison; pte/contents.py and tflite/contents.py read the files.

A weight counts as found when a constant of the expected dtype has its values bit for bit in one of
the runtimes' layouts, with the same scales. Float weights that the exporter changed on purpose
(batch norm folded in, quantized by a recipe) are matched by shape and must have at least as many
zeros: folding scales channels and quantizing rounds towards zero, so pruned channels stay gone and
masked weights stay zero."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tracing import Weight
from edgekit.errors import ExportError


@dataclass(frozen=True)
class Constant:
    """A constant tensor as it lies in the artifact. `scale` is None for floats and plain
    integers."""

    name: str
    values: NDArray[np.generic]
    scale: NDArray[np.float32] | None = None


def prove(
    weights: Sequence[Weight],
    constants: Sequence[Constant],
    dtypes: Mapping[str, str],
    *,
    floats_for_integers: bool = False,
) -> dict[str, Any]:
    """Find every weight in the artifact and sum up what is there: dtypes, scales, output channels,
    zero fraction.

    `dtypes` says by layer which dtype the artifact must hold where it is not the graph's own. With
    `floats_for_integers`, a quantized weight may also be there as the floats that its integers
    stand for: its layer then computes in float, and is listed in `kept_as_floats`.
    Raises ExportError naming the layers that are missing, have other values, scales, shapes or
    dtypes, or lost zeros."""
    exact = {_key(constant.values): constant for constant in constants}
    matches: list[tuple[Weight, Constant]] = []
    similar: dict[tuple[str, tuple[int, ...]], list[Weight]] = defaultdict(list)
    problems = []
    for weight in weights:
        dtype = dtypes.get(weight.layer, weight.dtype)
        constant = (
            next((exact[key] for key in map(_key, layouts(weight.values)) if key in exact), None)
            if dtype == weight.dtype
            else None
        )
        if constant is not None:
            if weight.scale is not None and not _same_scale(weight.scale, constant.scale):
                problems.append(f"{weight.layer}: other scales than the graph")
            matches.append((weight, constant))
        elif floats_for_integers and (floats := _as_floats(weight, exact)) is not None:
            matches.append((weight, floats))
        elif weight.scale is not None:
            problems.append(
                f"{weight.layer}: the graph's {weight.dtype} values are not in the artifact"
            )
        else:
            similar[dtype, _signature(weight.values)].append(weight)
    bit_equal = len(matches)
    taken = {id(constant) for _, constant in matches}
    for (dtype, shape), group in similar.items():
        candidates = [
            c
            for c in constants
            if id(c) not in taken and str(c.values.dtype) == dtype and _signature(c.values) == shape
        ]
        pairs, missing = _pair(group, candidates)
        matches += pairs
        problems += missing
    if problems:
        raise ExportError(
            f"the artifact does not hold the model's weights: {'; '.join(problems[:5])}"
            + (f" … and {len(problems) - 5} more" if problems[5:] else ""),
            hint="layers a method cannot quantize must be listed in keep_float",
            details={"problems": problems},
        )
    return _summary(matches, bit_equal)


def _pair(
    group: Sequence[Weight], candidates: Sequence[Constant]
) -> tuple[list[tuple[Weight, Constant]], list[str]]:
    """Match weights and constants of one dtype and shape, those with most zeros first."""
    in_graph = sorted(group, key=lambda weight: zeros(weight.values), reverse=True)
    offered = sorted(candidates, key=lambda constant: zeros(constant.values), reverse=True)
    pairs, problems = [], []
    for weight, constant in zip(in_graph, offered, strict=False):
        if zeros(constant.values) < zeros(weight.values):
            problems.append(
                f"{weight.layer}: {zeros(weight.values)} zeros in the graph, at most"
                f" {zeros(constant.values)} in the artifact"
            )
        pairs.append((weight, constant))
    problems += [
        f"{weight.layer}: no such weight of shape {weight.values.shape}"
        for weight in in_graph[len(offered) :]
    ]
    return pairs, problems


def layouts(values: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    """A weight in the layouts of the two runtimes: as it is, channels last (O,H,W,I), depthwise and
    transposed (I,H,W,O), transposed matrix.

    One-dimensional convolutions become two-dimensional ones with a kernel of height or width 1.
    """
    yield values
    if values.ndim == 2:
        yield values.T
    spatial = values[:, :, None, :] if values.ndim == 3 else values
    if spatial.ndim == 4:
        yield spatial.transpose(0, 2, 3, 1)
        yield spatial.transpose(1, 2, 3, 0)


def _as_floats(weight: Weight, exact: Mapping[tuple[str, bytes], Constant]) -> Constant | None:
    """The constant that holds what a weight's integers stand for, bit for bit."""
    if weight.scale is None:
        return None
    axes = [axis for axis, size in enumerate(weight.values.shape) if size == weight.scale.size]
    for axis in axes or [0]:
        per_channel = [1] * weight.values.ndim
        per_channel[axis] = weight.scale.size
        values = weight.values.astype(np.float32) * weight.scale.reshape(per_channel)
        for layout in layouts(values):
            if _key(layout) in exact:
                return exact[_key(layout)]
    return None


def zeros(values: NDArray[np.generic]) -> int:
    return int(values.size - np.count_nonzero(values))


def _key(values: NDArray[np.generic]) -> tuple[str, bytes]:
    return str(values.dtype), values.tobytes()


def _signature(values: NDArray[np.generic]) -> tuple[int, ...]:
    return tuple(sorted(size for size in values.shape if size > 1))


def _same_scale(graph: NDArray[np.float32], artifact: NDArray[np.float32] | None) -> bool:
    """Equal, where one scale for all channels may be written once or per channel."""
    return (
        artifact is not None
        and (graph.size in (1, artifact.size) or artifact.size == 1)
        and bool(np.allclose(graph, artifact, rtol=1e-6, atol=0))
    )


def _summary(matches: Sequence[tuple[Weight, Constant]], bit_equal: int) -> dict[str, Any]:
    total = sum(constant.values.size for _, constant in matches)
    per_channel = sum(
        constant.scale is not None and constant.scale.size > 1 for _, constant in matches
    )
    return {
        "weights": len(matches),
        "bit_equal": bit_equal,
        "dtypes": dict(
            sorted(Counter(str(constant.values.dtype) for _, constant in matches).items())
        ),
        "per_channel_scales": per_channel,
        "kept_as_floats": [
            weight.layer
            for weight, constant in matches
            if weight.scale is not None and constant.scale is None
        ],
        "zero_fraction": (
            round(sum(zeros(constant.values) for _, constant in matches) / total, 6)
            if total
            else 0.0
        ),
        "output_channels": {weight.layer: weight.values.shape[0] for weight, _ in matches},
    }
