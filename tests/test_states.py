"""Stepping over series, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.states import STATELESS, State, States, check_states, stepped, steps_in

STATES = States({"total": State((1,), "sum")}, ("total", "x"))


def add(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    assert list(inputs) == ["total", "x"]
    return {"sum": inputs["total"] + inputs["x"], "product": inputs["total"] * inputs["x"]}


def test_a_state_is_what_the_output_was_at_the_step_before() -> None:
    series = {"x": np.array([[[1.0], [2.0], [3.0]], [[5.0], [0.0], [-1.0]]])}
    steps = list(stepped(add, series, STATES, STATES.start(2, np.zeros)))
    assert steps_in(series) == len(steps) == 3
    assert [inputs["total"][:, 0].tolist() for inputs, _ in steps] == [[0, 0], [1, 5], [3, 5]]
    assert [outputs["sum"][:, 0].tolist() for _, outputs in steps] == [[1, 5], [3, 5], [6, 4]]


def test_two_states_of_which_one_output_feeds_both() -> None:
    both = States({"a": State((1,), "sum"), "b": State((1,), "sum")}, ("x", "a", "b"))
    x = {"x": np.ones((1, 3, 1))}
    sums = [
        float(outputs["sum"][0, 0])
        for _, outputs in stepped(
            lambda inputs: {"sum": inputs["x"] + inputs["a"] + inputs["b"]},
            x,
            both,
            both.start(1, np.zeros),
        )
    ]
    assert sums == [1, 3, 7]


def test_none() -> None:
    assert not STATELESS
    assert STATES


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"y": ("float32", (1,))}, "the model has no output 'sum'"),
        ({"sum": ("float32", (2,))}, r"state total is \(1,\), but the output sum.* is \(2,\)"),
        ({"sum": ("int64", (1,))}, "the output sum, which feeds it, is int64"),
    ],
)
def test_outputs_that_cannot_feed_a_state(
    outputs: dict[str, tuple[str, tuple[int, ...]]], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        check_states(STATES, outputs)
    check_states(STATES, {"sum": ("float32", (1,))})
