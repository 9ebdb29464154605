"""Distances between outputs by hand, at the edges, and for any arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.stats import cosine, fidelity, snr_db


def test_by_hand() -> None:
    """Signal 3² + 4² = 25, noise 0.5² = 0.25: 20 dB."""
    assert snr_db([3, 4], [3, 4.5]) == pytest.approx(20.0)
    assert cosine([1, 0], [1, 1]) == pytest.approx(math.sqrt(0.5))
    likeness = fidelity([[3, 4]], [[3, 4.5]])
    assert likeness.max_abs_error == 0.5
    assert likeness.finite
    assert not likeness.equal


def test_equal_and_zero_arrays() -> None:
    assert fidelity([0, 0], [0, 0]).equal
    assert fidelity([1, 2], [1, 2]).cosine == pytest.approx(1)
    assert fidelity([1, 2], [1, 2]).snr_db is None
    assert snr_db([0, 0], [0, 1]) == -math.inf
    assert fidelity([0, 0], [0, 1]).snr_db == -300
    assert cosine([0, 0], [0, 1]) == 0
    assert fidelity([], []).equal


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_said(bad: float) -> None:
    likeness = fidelity([1.0, 2.0], [1.0, bad])
    assert not likeness.finite
    assert not likeness.equal
    assert likeness.snr_db == -300


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes"):
        fidelity([1, 2], [[1, 2]])


@given(
    st.lists(st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)), min_size=1, max_size=20)
)
def test_always_finite_and_bounded(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    likeness = fidelity(first, second)
    assert -1 <= likeness.cosine <= 1
    assert likeness.snr_db is None or -300 <= likeness.snr_db <= 300
