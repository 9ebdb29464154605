"""Proof by re-reading: what is altered, lost or left float in an artifact is found."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.backends.proof import Constant, layouts, prove
from edgekit.backends.tracing import Weight
from edgekit.errors import ExportError

pytestmark = pytest.mark.torch


def int8(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-127, 128, shape, dtype=np.int8)


SCALE = np.array([0.5, 0.25, 0.125, 1], dtype=np.float32)
WEIGHT = Weight("conv", int8(0, 4, 3, 5, 5), SCALE)


def stored(values: np.ndarray, scale: np.ndarray | None = None) -> Constant:
    return Constant("c", values, scale)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1), (1, 2, 3, 0)])
def test_integers_are_found_in_either_runtimes_layout(axes: tuple[int, ...]) -> None:
    proof = prove(
        [WEIGHT], [stored(np.ones(3, np.float32)), stored(WEIGHT.values.transpose(axes), SCALE)], {}
    )
    assert proof == {
        "weights": 1,
        "bit_equal": 1,
        "dtypes": {"int8": 1},
        "per_channel_scales": 1,
        "kept_as_floats": [],
        "zero_fraction": round(float((WEIGHT.values == 0).mean()), 6),
        "output_channels": {"conv": 4},
    }


@pytest.mark.parametrize("axis", [0, 1])
def test_floats_that_the_integers_stand_for_count_only_where_they_may(axis: int) -> None:
    """A transposed convolution has its output channels at axis 1."""
    values = int8(3, 4, 4, 2, 2)
    scale = SCALE.reshape([-1 if dimension == axis else 1 for dimension in range(4)])
    weight, floats = Weight("up", values, SCALE), values.astype(np.float32) * scale
    proof = prove([weight], [stored(floats.transpose(1, 2, 3, 0))], {}, floats_for_integers=True)
    assert proof["kept_as_floats"] == ["up"]
    assert proof["dtypes"] == {"float32": 1}
    with pytest.raises(ExportError, match="up: the graph's int8 values are not in the artifact"):
        prove([weight], [stored(floats)], {})
    floats[0, 0, 0, 0] += 1e-3
    with pytest.raises(ExportError, match="up: the graph's int8 values are not in the artifact"):
        prove([weight], [stored(floats)], {}, floats_for_integers=True)


def test_layouts_of_matrices_and_one_dimensional_convolutions() -> None:
    matrix, kernel = int8(1, 2, 3), int8(2, 4, 3, 5)
    assert any(np.array_equal(layout, matrix.T) for layout in layouts(matrix))
    assert any(layout.shape == (4, 1, 5, 3) for layout in layouts(kernel))


def test_one_altered_integer_is_found() -> None:
    altered = WEIGHT.values.copy()
    altered[1, 2, 3, 4] ^= 1
    with pytest.raises(ExportError, match="conv: the graph's int8 values are not in the artifact"):
        prove([WEIGHT], [stored(altered, SCALE)], {})


@pytest.mark.parametrize("scale", [None, SCALE * 1.01, SCALE[:3]])
def test_other_scales_are_found(scale: np.ndarray | None) -> None:
    with pytest.raises(ExportError, match="conv: other scales than the graph"):
        prove([WEIGHT], [stored(WEIGHT.values, scale)], {})


def test_float_weights_may_change_but_not_their_shape_dtype_or_zeros() -> None:
    masked = np.ones((4, 3), np.float32)
    masked[1:3] = 0
    weight = Weight("linear", masked)
    assert prove([weight], [stored(masked * 3)], {})["bit_equal"] == 0
    with pytest.raises(
        ExportError, match="linear: 6 zeros in the graph, at most 4 in the artifact"
    ):
        prove([weight], [stored(masked + np.eye(4, 3, dtype=np.float32))], {})
    for other in (np.ones((5, 3), np.float32), masked.astype(np.float16)):
        with pytest.raises(ExportError, match=r"linear: no such weight of shape \(4, 3\)"):
            prove([weight], [stored(other)], {})


def test_the_dtype_a_recipe_asks_for_is_required() -> None:
    weight = Weight("linear", np.ones((4, 3), np.float32))
    with pytest.raises(ExportError, match="linear: no such weight"):
        prove([weight], [stored(weight.values)], {"linear": "int8"})
    assert prove([weight], [stored(int8(3, 4, 3), SCALE)], {"linear": "int8"})["dtypes"] == {
        "int8": 1
    }


def test_each_float_weight_needs_a_constant_of_its_own() -> None:
    pair = [
        Weight(name, np.full((4, 3), value, np.float32)) for name, value in (("a", 1), ("b", 2))
    ]
    with pytest.raises(ExportError, match="b: no such weight"):
        prove(
            pair,
            [stored(np.full((4, 3), 7, np.float32)), stored(np.full((4, 3), 1, np.float32))][1:],
            {},
        )
