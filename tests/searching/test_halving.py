"""Which candidates are trained on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgekit
from edgekit.searching.halving import beats, fractions, goes_on
from tests.support.searches import P50, TOP1, figure

VALUES = st.lists(st.integers(0, 50), min_size=1, max_size=40)
PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30)


def test_the_parts_of_a_training() -> None:
    assert fractions(3, 1) == (1.0,)
    assert fractions(3, 3) == pytest.approx((1 / 9, 1 / 3, 1))
    assert fractions(4, 2) == (0.25, 1.0)


@given(values=VALUES, factor=st.integers(2, 5))
def test_of_one_objective_the_best_third_goes_on(values: list[int], factor: int) -> None:
    """With equal values, as many as are equal."""
    reached = [{TOP1.name: figure(value)} for value in values]
    chosen = [
        value
        for at, value in enumerate(values)
        if goes_on(reached[at], reached[:at] + reached[at + 1 :], [TOP1], factor)
    ]
    places = max(1, len(values) // factor)
    ordered = sorted(values, reverse=True)
    assert sorted(chosen, reverse=True) == [v for v in ordered if v >= ordered[places - 1]]


@given(pairs=PAIRS)
def test_the_best_in_something_goes_on_and_so_does_what_beats_another(
    pairs: list[tuple[int, int]],
) -> None:
    reached = [{TOP1.name: figure(top1), P50.name: figure(p50)} for top1, p50 in pairs]

    def others(at: int) -> list[dict[str, edgekit.SearchFigure]]:
        return reached[:at] + reached[at + 1 :]

    chosen = [goes_on(own, others(at), [TOP1, P50], 3) for at, own in enumerate(reached)]
    for at, own in enumerate(reached):
        unbeaten = not any(beats(other, own, [TOP1, P50]) for other in reached)
        if unbeaten and (
            pairs[at][0] == max(t for t, _ in pairs) or pairs[at][1] == min(p for _, p in pairs)
        ):
            assert chosen[at]
        if chosen[at]:
            assert all(
                chosen[n] for n, other in enumerate(reached) if beats(other, own, [TOP1, P50])
            )


def test_of_a_long_front_those_go_on_that_are_apart() -> None:
    """Of twelve on one line the third with the widest gaps beside them, the two ends first."""
    values = [0, 1, 2, 3, 10, 11, 12, 30, 31, 32, 60, 61]
    reached = [{TOP1.name: figure(value), P50.name: figure(value)} for value in values]
    chosen = [
        value
        for at, value in enumerate(values)
        if goes_on(reached[at], reached[:at] + reached[at + 1 :], [TOP1, P50], 3)
    ]
    assert chosen == [0, 32, 60, 61]


def test_the_first_goes_on_and_what_is_not_known_is_not_compared() -> None:
    assert goes_on({TOP1.name: figure(1)}, [], [TOP1], 3)
    assert not beats({}, {TOP1.name: figure(1)}, [TOP1])
    assert beats({TOP1.name: figure(2), P50.name: figure(1)}, {TOP1.name: figure(1)}, [TOP1, P50])
