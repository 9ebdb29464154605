"""The regression rule: textbook examples of its tests, and its rates of error on simulated and
recorded runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from edgekit.stats import MedianRatio, decide, differ, holm, mann_whitney_p, ratio_of_medians
from edgekit.stats.compare import _judge, more_runs

RUN_SIGMA = 0.05
RECORDED = Path(__file__).parents[1] / "captured" / "run-medians.json"


def runs(
    generator: np.random.Generator, n: int, *, median: float = 2e6, sigma: float = RUN_SIGMA
) -> NDArray[np.float64]:
    """Medians of process runs: log-normal around `median` ns, as runs on a small shared machine
    scatter."""
    return median * generator.lognormal(0, sigma, n)


def test_mann_whitney_by_hand() -> None:
    """All of 3 below all of 4: U = 0, and 2 of the C(7,3) = 35 orders are as extreme."""
    assert mann_whitney_p([1, 2, 3], [4, 5, 6, 7]) == pytest.approx(2 / 35)


@given(
    first=st.lists(st.integers(0, 40), min_size=1, max_size=14),
    second=st.lists(st.integers(0, 40), min_size=1, max_size=14),
)
def test_mann_whitney_is_scipys(first: list[int], second: list[int]) -> None:
    with np.errstate(all="ignore"):
        expected = mannwhitneyu(first, second).pvalue
    assert mann_whitney_p(first, second) == pytest.approx(
        1.0 if np.isnan(expected) else expected, abs=1e-12
    )


@pytest.mark.parametrize("sizes", [(1, 5), (6, 6), (8, 30), (9, 9), (40, 25)])
def test_mann_whitney_is_scipys_without_ties(sizes: tuple[int, int]) -> None:
    generator = np.random.default_rng(1)
    for shift in (0.0, 0.5, 5.0):
        first, second = generator.normal(size=sizes[0]), generator.normal(shift, size=sizes[1])
        assert mann_whitney_p(first, second) == pytest.approx(
            mannwhitneyu(first, second).pvalue, rel=1e-9, abs=1e-15
        )


def test_holm_textbook_example() -> None:
    """The example of the Wikipedia article and of many courses: 0.01, 0.04, 0.03, 0.005 become
    0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)


def test_a_ratio_says_how_far_and_how_sure() -> None:
    generator = np.random.default_rng(0)
    slow, fast = runs(generator, 20, median=3e6), runs(generator, 20, median=2e6)
    ratio = ratio_of_medians(slow, fast)
    assert ratio.low < 1.5 < ratio.high
    assert ratio.mid == pytest.approx(np.median(slow) / np.median(fast))
    assert ratio == ratio_of_medians(slow, fast)
    assert ratio != ratio_of_medians(slow, fast, seed=1)


def test_too_few_runs_bound_no_ratio() -> None:
    few = ratio_of_medians([2.0] * 5, [1.0] * 10)
    assert few == MedianRatio(0.0, 2.0, math.inf)
    assert not few.bounded
    assert ratio_of_medians([2.0] * 6, [1.0] * 6).bounded


def test_the_interval_of_a_ratio_covers_it() -> None:
    generator = np.random.default_rng(2)
    ratios = [
        ratio_of_medians(runs(generator, 10), runs(generator, 10), seed=i) for i in range(400)
    ]
    assert sum(r.low <= 1 <= r.high for r in ratios) >= 0.93 * len(ratios)


@pytest.mark.parametrize("sigma", [0.02, 0.10])
def test_identical_builds_are_rarely_called_regressed(sigma: float) -> None:
    """A/A: two samples of runs of the same build, 1,000 times, at two levels of noise."""
    generator = np.random.default_rng(3)
    called = [
        decide({"a": (runs(generator, 10, sigma=sigma), runs(generator, 10, sigma=sigma))}, seed=i)[
            "a"
        ].verdict
        for i in range(1000)
    ]
    assert called.count("regressed") <= 50


@pytest.mark.nightly
def test_identical_builds_as_recorded_are_rarely_called_regressed() -> None:
    """A/A on run medians recorded on a busy machine: the recorded pair, and 1,000 random halves of
    ten runs each."""
    recorded = json.loads(RECORDED.read_text())
    assert decide({"a": (recorded["a"], recorded["b"])})["a"].verdict == "no_regression"
    generator = np.random.default_rng(10)
    drawn = [generator.permutation([*recorded["a"], *recorded["b"]]) for _ in range(1000)]
    called = [
        decide({"a": (both[:10], both[10:20])}, seed=i)["a"].verdict for i, both in enumerate(drawn)
    ]
    assert called.count("regressed") <= 50
    slower = [
        decide({"a": (both[:20], 1.2 * both[20:40])}, seed=i)["a"].verdict
        for i, both in enumerate(drawn[:100])
    ]
    assert slower.count("regressed") >= 80


@pytest.mark.nightly
def test_many_models_at_once_do_not_add_false_alarms() -> None:
    generator = np.random.default_rng(4)
    alarms = 0
    for i in range(100):
        decisions = decide(
            {
                str(model): (runs(generator, 10, sigma=0.1), runs(generator, 10, sigma=0.1))
                for model in range(6)
            },
            seed=i,
        )
        alarms += any(d.verdict == "regressed" for d in decisions.values())
    assert alarms <= 5


def test_a_fifth_slower_is_found_with_twenty_runs() -> None:
    generator = np.random.default_rng(5)
    verdicts = [
        decide(
            {"a": (runs(generator, 20, sigma=0.1), 1.2 * runs(generator, 20, sigma=0.1))}, seed=i
        )["a"].verdict
        for i in range(200)
    ]
    assert verdicts.count("regressed") >= 160


def test_no_regression_is_said_only_when_it_is_known() -> None:
    """Builds 10 % apart, measured noisily: never called equal."""
    generator = np.random.default_rng(6)
    verdicts = [
        decide(
            {"a": (runs(generator, 10, sigma=0.1), 1.10 * runs(generator, 10, sigma=0.1))}, seed=i
        )["a"].verdict
        for i in range(300)
    ]
    assert verdicts.count("no_regression") <= 0.05 * len(verdicts)
    quiet = decide({"a": (runs(generator, 10, sigma=0.01), runs(generator, 10, sigma=0.01))})["a"]
    assert quiet.verdict == "no_regression"
    assert quiet.more_runs is None


def test_faster_is_no_regression() -> None:
    generator = np.random.default_rng(7)
    assert (
        decide({"a": (runs(generator, 10), 0.7 * runs(generator, 10))})["a"].verdict
        == "no_regression"
    )


def test_a_real_but_small_change_is_not_called_a_regression() -> None:
    generator = np.random.default_rng(8)
    decision = decide(
        {"a": (runs(generator, 30, sigma=0.005), 1.03 * runs(generator, 30, sigma=0.005))}
    )["a"]
    assert decision.p < 0.001
    assert decision.verdict == "no_regression"


def test_quick_measurements_decide_nothing() -> None:
    decision = decide({"a": ([1.0, 1.01, 0.99, 1.0] * 2, [2.0, 2.01, 1.99, 2.0] * 2)})["a"]
    assert decision.verdict == "inconclusive"
    assert decision.more_runs == 2
    assert "only 8 runs" in decision.reason


@pytest.mark.parametrize(
    ("ratio", "p", "verdict"),
    [
        (MedianRatio(1.06, 1.2, 1.4), 0.01, "regressed"),
        (MedianRatio(0.99, 1.2, 1.4), 0.01, "inconclusive"),
        (MedianRatio(1.06, 1.2, 1.4), 0.06, "inconclusive"),
        (MedianRatio(1.01, 1.04, 1.06), 0.01, "inconclusive"),
        (MedianRatio(0.97, 1.0, 1.049), 0.9, "no_regression"),
    ],
)
def test_each_condition_of_the_rule_counts(ratio: MedianRatio, p: float, verdict: str) -> None:
    assert _judge(ratio, p, 10, 1.05, 0.05).verdict == verdict


def test_more_runs_by_hand() -> None:
    """Half-width 0.1 on a log scale at distance 0.05 needs four times the runs."""
    threshold = math.exp(0.05)
    assert more_runs(MedianRatio(math.exp(-0.1), 1.0, math.exp(0.1)), 10, threshold) == 30
    assert more_runs(MedianRatio(math.exp(-0.1), threshold, math.exp(0.2)), 10, threshold) is None
    assert more_runs(MedianRatio(1.0, 2.0, math.inf), 4, threshold) == 6


def test_the_runs_asked_for_do_decide() -> None:
    """Of inconclusive cases, most are decided after as many more runs as were said to be needed."""
    generator = np.random.default_rng(9)
    decided = tried = 0
    for i in range(150):
        decision = decide(
            {"a": (runs(generator, 10, sigma=0.08), runs(generator, 10, sigma=0.08))}, seed=i
        )["a"]
        if decision.verdict != "inconclusive" or decision.more_runs is None:
            continue
        n = 10 + decision.more_runs
        tried += 1
        decided += (
            decide({"a": (runs(generator, n, sigma=0.08), runs(generator, n, sigma=0.08))}, seed=i)[
                "a"
            ].verdict
            != "inconclusive"
        )
    assert tried > 30
    assert decided >= 0.5 * tried


def test_the_two_sided_rule_in_both_directions() -> None:
    generator = np.random.default_rng(11)
    base = runs(generator, 20, sigma=0.02)
    differences = differ(
        {"slow": (base, 1.2 * base), "fast": (base, base / 1.2), "same": (base, 1.01 * base)},
        margin_ratio=1.05,
    )
    assert {name: difference.side for name, difference in differences.items()} == {
        "slow": "higher",
        "fast": "lower",
        "same": "same",
    }
    spread = np.linspace(1.0, 2.0, 10)
    assert differ({"a": (spread, spread)})["a"].side == "inconclusive"
    assert differ({"a": (base[:5], 2 * base[:5])})["a"].side == "inconclusive"


@pytest.mark.parametrize("sigma", [0.02, 0.10])
def test_identical_builds_are_rarely_told_apart_in_either_direction(sigma: float) -> None:
    generator = np.random.default_rng(13)
    sides = [
        differ({"a": (runs(generator, 10, sigma=sigma), runs(generator, 10, sigma=sigma))}, seed=i)[
            "a"
        ].side
        for i in range(1000)
    ]
    assert sides.count("higher") + sides.count("lower") <= 50


def test_a_threshold_of_its_own_for_each() -> None:
    generator = np.random.default_rng(12)
    base = runs(generator, 20, sigma=0.01)
    pairs = {"strict": (base, 1.1 * base), "lax": (base, 1.1 * base)}
    assert {
        k: v.verdict for k, v in decide(pairs, threshold_ratio={"strict": 1.05, "lax": 1.2}).items()
    } == {
        "strict": "regressed",
        "lax": "no_regression",
    }


VALUES = st.lists(st.floats(1e3, 1e9), min_size=10, max_size=30)


@given(first=VALUES, second=VALUES)
@settings(max_examples=50)
def test_scale_does_not_matter_and_turning_the_sides_turns_the_ratio(
    first: list[float], second: list[float]
) -> None:
    difference, scaled = (
        differ({"a": (first, second)})["a"],
        differ({"a": ([4 * v for v in first], [4 * v for v in second])})["a"],
    )
    assert (scaled.side, scaled.ratio, scaled.p) == (
        difference.side,
        difference.ratio,
        difference.p,
    )
    assert mann_whitney_p(first, second) == pytest.approx(mann_whitney_p(second, first))
    turned = ratio_of_medians(second, first)
    assert turned.mid == pytest.approx(1 / ratio_of_medians(first, second).mid)
    assert turned.low <= turned.mid * (1 + 1e-9)
    assert turned.high >= turned.mid * (1 - 1e-9)


@given(p_values=st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(q >= p for p, q in zip(p_values, adjusted, strict=True))
    assert all(q <= 1 for q in adjusted)
    ordered = sorted(zip(p_values, adjusted, strict=True))
    assert [q for _, q in ordered] == sorted(q for _, q in ordered)


@given(data=st.data(), n=st.integers(10, 25))
@settings(max_examples=30)
def test_what_regressed_is_not_also_passed_by_a_laxer_eye(data: st.DataObject, n: int) -> None:
    """Raising the threshold never turns a pass into a regression."""
    values = st.lists(st.floats(1e5, 1e7), min_size=n, max_size=n)
    pair = (data.draw(values), data.draw(values))
    strict, lax = (
        decide({"a": pair}, threshold_ratio=threshold)["a"].verdict for threshold in (1.05, 1.3)
    )
    assert (strict, lax) not in {("no_regression", "regressed"), ("inconclusive", "regressed")}
