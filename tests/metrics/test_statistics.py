"""Values of statistics against scikit-learn's, weighted too: a resample is a set of weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.metrics import MetricKind, MetricValue, UndefinedError, metric_value
from edgekit.metrics.ranking import average_precision, roc_auc
from edgekit.metrics.ratios import class_mean, class_min, mean_ratio, r_squared, root_mean
from edgekit.metrics.statistics import STATISTICS, Statistic, statistic_of

SAMPLES = 60
GENERATOR = np.random.default_rng(5)
LABELS = GENERATOR.integers(0, 4, SAMPLES)
GUESSES = np.where(GENERATOR.random(SAMPLES) < 0.6, LABELS, GENERATOR.integers(0, 4, SAMPLES))
SCORES = GENERATOR.integers(0, 9, (SAMPLES, 3)).astype(float)  # with ties
POSITIVE = (GENERATOR.random((SAMPLES, 3)) < 0.3).astype(int)
TARGETS = GENERATOR.normal(1e4, 1, (SAMPLES, 2))
PREDICTED = TARGETS + GENERATOR.normal(0, 0.5, (SAMPLES, 2))
WEIGHTS = np.stack([np.ones(SAMPLES), *GENERATOR.multinomial(SAMPLES, [1 / SAMPLES] * SAMPLES, 5)])


def mean_f1(weights: NDArray[Any]) -> float:
    from sklearn.metrics import f1_score

    return 100 * float(
        f1_score(POSITIVE, SCORES > 4, average="macro", sample_weight=weights, zero_division=0)
    )


def of(name: str, **options: Any) -> Callable[..., Any]:
    import sklearn.metrics

    return lambda *values, weights: getattr(sklearn.metrics, name)(
        *values, sample_weight=weights, **options
    )


CASES: dict[str, tuple[Any, NDArray[Any], Callable[[NDArray[Any]], float]]] = {
    "root_mean": (
        root_mean,
        (PREDICTED - TARGETS) ** 2,
        lambda w: of("root_mean_squared_error")(TARGETS, PREDICTED, weights=w),
    ),
    "r_squared": (
        r_squared,
        np.concatenate([PREDICTED - TARGETS, TARGETS], 1),
        lambda w: of("r2_score")(TARGETS, PREDICTED, weights=w),
    ),
    "class_mean": (
        class_mean,
        np.stack([LABELS, GUESSES == LABELS], 1).astype(float),
        lambda w: 100 * of("balanced_accuracy_score")(LABELS, GUESSES, weights=w),
    ),
    "class_min": (
        class_min,
        np.stack([LABELS, GUESSES == LABELS], 1).astype(float),
        lambda w: 100 * np.min(of("recall_score", average=None)(LABELS, GUESSES, weights=w)),
    ),
    "mean_ratio": (
        mean_ratio,
        np.concatenate(
            [2 * (POSITIVE * (SCORES > 4)), POSITIVE + (SCORES > 4).astype(int)], 1
        ).astype(float),
        mean_f1,
    ),
    "average_precision": (
        average_precision,
        np.concatenate([SCORES, POSITIVE], 1),
        lambda w: 100 * of("average_precision_score")(POSITIVE, SCORES, weights=w),
    ),
    "roc_auc": (
        roc_auc,
        np.stack([SCORES[:, 0], POSITIVE[:, 0]], 1),
        lambda w: 100 * of("roc_auc_score")(POSITIVE[:, 0], SCORES[:, 0], weights=w),
    ),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", CASES)
def test_they_are_scikit_learns_at_any_weights(name: str) -> None:
    statistic, material, expected = CASES[name]
    values = statistic(material, WEIGHTS)
    np.testing.assert_allclose(values, [expected(w) for w in WEIGHTS], rtol=1e-9)


@pytest.mark.parametrize("name", STATISTICS)
def test_each_place_of_the_table_holds_a_statistic(name: str) -> None:
    assert isinstance(statistic_of(name), Statistic)


def test_a_metric_of_another_statistic_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no statistic 'median'"):
        kind("median")


def kind(statistic: str, *, higher: bool = True) -> MetricKind:
    return MetricKind(
        name="m",
        label="m",
        unit="%",
        higher_is_better=higher,
        statistic=statistic,
        gate_margin=1,
    )


def test_material_of_several_columns_survives_json() -> None:
    material = CASES["mean_ratio"][1]
    value = metric_value(kind("mean_ratio"), material, keep_samples=True)
    assert (value.columns, value.samples) == (6, SAMPLES)
    again = MetricValue.model_validate_json(value.model_dump_json())
    np.testing.assert_array_equal(again.material(), np.float32(material))
    assert again.low is not None
    assert again.high is not None
    assert again.low < again.value < again.high


def test_a_file_without_the_number_of_columns_is_read() -> None:
    value = metric_value(kind("mean"), np.arange(9), keep_samples=True)
    old = value.model_dump()
    del old["columns"]
    np.testing.assert_array_equal(MetricValue.model_validate(old).material(), value.material())


@pytest.mark.parametrize(
    ("statistic", "material"),
    [
        ("average_precision", [[0.5, 0], [0.2, 0]]),
        ("roc_auc", [[0.5, 1], [0.2, 1]]),
        ("mean_ratio", [[0, 0], [0, 0]]),
        ("r_squared", [[0.5, 3], [0.2, 3]]),
        ("detection_ap", [[-1, 0, 0], [0, 0.9, 0]]),
    ],
)
def test_samples_may_have_no_such_value(statistic: str, material: list[list[float]]) -> None:
    with pytest.raises(UndefinedError, match="no such value"):
        metric_value(kind(statistic), np.array(material))


def test_much_material_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["edgekit.metrics.values"], "MOST_MATERIAL_BYTES", 100)
    material = np.ones((30, 2))
    assert metric_value(kind("mean_ratio"), material, keep_samples=True).per_sample == ""
    assert metric_value(kind("mean_ratio"), material[:10], keep_samples=True).per_sample


def test_too_few_samples_have_a_value_without_an_interval() -> None:
    value = metric_value(kind("mean_ratio"), np.ones((19, 2)))
    assert (value.value, value.low, value.high) == (100, None, None)
