"""What the sections compute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.measure.measurement import Measurement
from edgekit.reporting.page.distribution import distribution
from edgekit.reporting.page.history import BUCKETS, bucketed
from edgekit.reporting.page.memory import memory_blocks
from edgekit.reporting.page.overview import frontier
from edgekit.reporting.page.values import Figure, log_axis, thinned
from edgekit.store.results import HistoryEntry

POINTS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12)


@given(POINTS)
def test_the_frontier_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    edge = frontier(points)
    for x, y in edge:
        assert not any((a <= x and b > y) or (a < x and b >= y) for a, b in points)
    for x, y in points:
        assert any(a <= x and b >= y for a, b in edge)


def test_the_distribution_is_that_of_the_samples(measurement: Measurement) -> None:
    result = measurement.artifacts[0]
    times, shares = distribution(result)
    pooled = np.concatenate([run.steady_ns for run in result.complete_runs]) / 1e6
    assert times == sorted(times)
    assert (times[0], times[-1]) == (
        pytest.approx(pooled.min(), rel=1e-4),
        pytest.approx(pooled.max(), rel=1e-4),
    )
    for time, share in zip(times, shares, strict=True):
        assert 100 * np.mean(pooled <= time * (1 + 1e-4)) >= share - 1e-6


def test_memory_parts_add_up_to_what_was_resident(measurement: Measurement) -> None:
    figure, _ = memory_blocks(measurement)
    assert isinstance(figure, Figure)
    bars = [trace for trace in figure.data if trace["type"] == "bar"]
    totals = [sum(trace["x"][at] for trace in bars) for at in range(len(bars[0]["x"]))]
    summaries = measurement.summaries.values()
    assert totals == [
        pytest.approx(s.memory_bytes[mark] / 1e6)
        for s in reversed(summaries)
        for mark in ("steady", "first", "loaded", "baseline")
    ]


def test_a_long_history_is_bucketed_and_what_does_not_count_is_left_out() -> None:
    past = [
        HistoryEntry(
            str(at),
            f"2026-01-{1 + at // 1440:02}T{at // 60 % 24:02}:{at % 60:02}:00",
            "a",
            1e6 + at,
            True,
        )
        for at in range(3000)
    ]
    past += [HistoryEntry(f"bad {entry.id}", entry.created, "a", 9e9, False) for entry in past]
    points = bucketed(past)
    assert len(points) == BUCKETS
    assert all(counts and ms < 2 for _, ms, counts in points)
    assert [when for when, _, _ in points] == sorted(when for when, _, _ in points)
    assert (
        bucketed(
            [
                HistoryEntry("x", "nonsense", "a", 1.0, True),
                HistoryEntry("y", "2026-01-01", "a", None, True),
            ]
        )
        == []
    )


@given(st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=5))
def test_a_logarithmic_axis_has_few_labels_and_some(values: list[float]) -> None:
    ticks = log_axis("ms", values)["tickvals"]
    assert 1 <= len(ticks) <= 6
    assert all(0.89 * min(values) <= tick <= 1.11 * max(values) for tick in ticks)


@given(st.lists(st.integers(), max_size=50), st.integers(2, 20))
def test_thinning_keeps_both_ends(values: list[int], most: int) -> None:
    points = thinned(values, most)
    assert len(points) <= max(most, 0)
    assert points[:1] == values[:1]
    assert points[-1:] == values[-1:]
