"""Values of metrics: their intervals, and the samples they keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.metrics import MetricKind, MetricValue, metric_value, proportion_value

SHARE = MetricKind(
    name="right",
    label="right",
    unit="%",
    higher_is_better=True,
    statistic="proportion",
    gate_margin=1,
)
ERROR = MetricKind(name="mae", label="MAE", unit="px", higher_is_better=False, gate_margin=1)


def test_a_proportion_is_a_percentage_with_wilsons_interval() -> None:
    right = np.arange(450) >= 9
    value = metric_value(SHARE, right, keep_samples=True)
    assert (value.value, value.samples, value.right) == (98.0, 450, 441)
    assert (round(value.low or 0, 1), round(value.high or 0, 1)) == (96.2, 98.9)
    np.testing.assert_array_equal(value.material(), right[:, None])
    assert value.without_samples() == proportion_value(SHARE, 441, 450)
    assert value.without_samples().material() is None


def test_a_mean_has_an_interval_from_eight_samples_on() -> None:
    few, enough = (metric_value(ERROR, np.arange(n)) for n in (7, 8))
    assert (few.value, few.low, few.high) == (3.0, None, None)
    assert enough.low is not None
    assert enough.high is not None
    assert enough.low < 3.5 < enough.high
    assert (enough.unit, enough.difference_unit, SHARE.difference_unit) == ("px", "px", "points")


def test_worse_is_a_positive_drop_in_either_direction() -> None:
    assert SHARE.drop(92, 90) == 2
    assert ERROR.drop(2.0, 2.5) == 0.5


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_the_samples_of_a_mean_survive_json(values: list[float]) -> None:
    value = metric_value(ERROR, np.asarray(values), keep_samples=True)
    again = MetricValue.model_validate_json(value.model_dump_json())
    np.testing.assert_array_equal(again.material(), np.array(values, dtype=np.float32)[:, None])


@pytest.mark.parametrize("values", [[], [[[1.0]]], [1.0, np.nan], [np.inf]])
def test_what_are_no_finite_values_of_each_sample(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite values for each sample"):
        metric_value(ERROR, np.asarray(values))


def test_samples_of_another_number_are_refused() -> None:
    value = metric_value(ERROR, np.arange(4), keep_samples=True).model_copy(update={"samples": 5})
    with pytest.raises(ValueError, match="4 values for 5 samples"):
        value.material()
