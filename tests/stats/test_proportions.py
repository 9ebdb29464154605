"""Differences of proportions against published examples, and how often their intervals cover the
truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.stats import independent_shift, paired_shift


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((10, 10, 0, 10), 0.6075, 1.0),
        ((0, 10, 0, 10), -0.2775, 0.2775),
    ],
)
def test_independent_shift_is_newcombes_table(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    """Newcombe 1998, table II, method 10."""
    shift = independent_shift(*counts)
    assert (round(shift.low / 100, 4), round(shift.high / 100, 4)) == (low, high)


@pytest.mark.parametrize(("share_first", "share_second"), [(0.02, 0.02), (0.05, 0.02), (0.1, 0.1)])
def test_a_paired_interval_covers_the_true_shift(share_first: float, share_second: float) -> None:
    generator = np.random.default_rng(1)
    drawn = generator.multinomial(
        500, [share_first, share_second, 1 - share_first - share_second], 1000
    )
    shifts = [paired_shift(int(first), int(second), 500) for first, second, _ in drawn]
    truth = 100 * (share_first - share_second)
    assert sum(s.low <= truth <= s.high for s in shifts) >= 935


@given(first=st.integers(0, 300), second=st.integers(0, 300), rest=st.integers(1, 300))
def test_turning_the_sides_turns_the_sign(first: int, second: int, rest: int) -> None:
    total = first + second + rest
    shift, turned = paired_shift(first, second, total), paired_shift(second, first, total)
    assert (shift.low, shift.mid, shift.high) == pytest.approx(
        (-turned.high, -turned.mid, -turned.low)
    )
    assert shift.low <= shift.mid + 100 / total
    a, b = (
        independent_shift(first, total, second, total),
        independent_shift(second, total, first, total),
    )
    assert (a.low, a.high) == pytest.approx((-b.high, -b.low))


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_do_not_fit(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no proportions"):
        paired_shift(*counts)
