from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.prune.sparsity import last_update, polynomial_sparsity
from edgekit.errors import UsageError

fractions = st.floats(0, 0.99)


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int]:
    begin = draw(st.integers(0, 500))
    return begin, begin + draw(st.integers(1, 2000))


def test_half_way_of_a_cubic_rise() -> None:
    assert (
        polynomial_sparsity(500, initial=0.0, final=0.5, begin_step=0, end_step=1000, power=3)
        == 0.4375
    )


@given(fractions, fractions, spans(), st.floats(0.1, 6), st.integers(0, 3000))
def test_stays_between_the_ends_and_moves_one_way(
    initial: float, final: float, span: tuple[int, int], power: float, step: int
) -> None:
    begin, end = span

    def at(step: int) -> float:
        return polynomial_sparsity(
            step, initial=initial, final=final, begin_step=begin, end_step=end, power=power
        )

    low, high = sorted((initial, final))
    assert low - 1e-12 <= at(step) <= high + 1e-12
    assert (at(step + 1) - at(step)) * (final - initial) >= 0
    assert at(begin) == pytest.approx(initial)
    assert at(end) == at(end + 1) == final


@pytest.mark.parametrize(
    ("begin", "end", "final", "power"),
    [
        (10, 10, 0.5, 3),
        (-1, 10, 0.5, 3),
        (0, 10, 1.0, 3),
        (0, 10, 0.5, 0),
        (0, 10, float("nan"), 3),
    ],
)
def test_refuses_schedules_that_make_no_sense(
    begin: int, end: int, final: float, power: float
) -> None:
    with pytest.raises(UsageError, match="sparsity schedule"):
        polynomial_sparsity(
            5, initial=0.0, final=final, begin_step=begin, end_step=end, power=power
        )


def test_masks_are_renewed_every_so_many_steps_and_at_the_end() -> None:
    due = [last_update(step, begin_step=10, end_step=35, frequency=10) for step in range(9, 40)]
    assert due[:2] == [None, 10]
    assert sorted({step for step in due if step is not None}) == [10, 20, 30, 35]
    assert due[-1] == 35


@given(spans(), st.integers(1, 300), st.integers(0, 4000))
def test_an_update_is_never_in_the_future_nor_missed(
    span: tuple[int, int], frequency: int, step: int
) -> None:
    begin, end = span
    due = last_update(step, begin_step=begin, end_step=end, frequency=frequency)
    if step < begin:
        assert due is None
    elif step >= end:
        assert due == end
    else:
        assert due is not None
        assert step - frequency < due <= step
        assert (due - begin) % frequency == 0
