"""Objectives and limits: those of the section and of the budget, and what misses them."""

from __future__ import annotations

import pytest

from edgekit.devices.target import LocalTarget
from edgekit.errors import UsageError
from edgekit.recipe.limits import MetricLimit, VariantBudget
from edgekit.recipe.search_section import Search
from edgekit.searching.figures import SearchFigure
from edgekit.searching.goals import Bound, Goals, goals, untold_by
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.searches import figure

METRICS = CLASSIFICATION.metrics
BUDGET = VariantBudget(
    metrics={"top1": MetricLimit(min=90, max_drop=1)},
    size_max_bytes=1000,
    size_min_shrink_ratio=3,
    latency_p50_max_ms=5,
    deadline_ms=10,
    peak_memory_max_bytes=2000,
)
DESK = LocalTarget(edgekit=1, name="desk", kind="local")
EMULATED = LocalTarget(
    edgekit=1,
    name="emulated",
    kind="local",
    timings="meaningless",
    timings_reason="runs under qemu",
)


def section(*objectives: str, **limits: dict[str, float]) -> Search:
    return Search.model_validate(
        {
            "parameters": {"stages.a.macs": {"low": 0.1, "high": 0.9}},
            "objectives": objectives,
            "limits": limits,
        }
    )


def made(search: Search, budget: VariantBudget | None, board: LocalTarget | None) -> Goals:
    return goals(search, budget, METRICS, untold_by(board))


def test_limits_are_those_of_the_section_and_of_the_budget() -> None:
    search = section("metrics.top1", macs={"max": 500}, size_bytes={"max": 900, "min": 1})
    asked = made(search, BUDGET, DESK)
    assert list(map(str, asked.bounds)) == [
        "macs ≤ 500",
        "size_bytes ≥ 1",
        "size_bytes ≤ 900",
        "metrics.top1 ≥ 90",
        "metrics.top1.drop ≤ 1",
        "size_shrink_ratio ≥ 3",
        "size_bytes ≤ 1000",
        "latency_p50_ms ≤ 5",
        "peak_memory_bytes ≤ 2000",
        "deadline_miss_percent ≤ 1",
    ]
    assert asked.needs_baseline
    assert [each.name for each in asked.ranked] == ["metrics.top1"]


def test_what_a_board_does_not_tell_is_left_to_a_later_run() -> None:
    without = made(section("metrics.top1"), BUDGET, None)
    assert not without.needs(["latency_p50_ms", "peak_memory_bytes", "deadline_miss_percent"])
    emulated = made(section("metrics.top1"), BUDGET, EMULATED)
    assert emulated.needs(["peak_memory_bytes"])
    assert not emulated.needs(["latency_p50_ms", "deadline_miss_percent"])


@pytest.mark.parametrize(
    ("search", "board", "words"),
    [
        (section("latency_p50_ms"), None, "only a board tells it"),
        (section("metrics.top1", peak_memory_bytes={"max": 1}), None, "only a board tells it"),
        (section("latency_p50_ms"), EMULATED, "meaningless: runs under qemu"),
        (section("metrics.map"), DESK, "the task has no metric metrics.map"),
    ],
    ids=["no board", "a limit", "an emulated board", "no such metric"],
)
def test_what_is_not_to_be_had_is_refused(
    search: Search, board: LocalTarget | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        made(search, None, board)
    assert raised.value.hint


def test_a_limit_is_surely_missed_when_the_whole_interval_lies_beyond_it() -> None:
    bound = Bound("latency_p50_ms", "max", 5.0)
    assert bound.surely_missed(figure(6, 0.5))
    assert not bound.surely_missed(figure(6, 1.5))
    assert bound.surely_missed(SearchFigure(6))
    assert not Bound("metrics.top1", "min", 90).surely_missed(figure(89, 2))
    assert Bound("metrics.top1", "min", 90).surely_missed(figure(87, 2))


def test_the_size_of_an_untrained_file_is_nearly_that_of_a_trained_one() -> None:
    asked = made(section("metrics.top1", size_bytes={"max": 1000}), None, None)
    nearly = {"size_bytes": SearchFigure.exact(1005)}
    assert asked.surely_missed(nearly)
    assert not asked.surely_missed(nearly, untrained=True)
    assert asked.surely_missed({"size_bytes": SearchFigure.exact(1100)}, untrained=True)


def test_how_far_beyond_a_limit_it_is() -> None:
    asked = made(section("metrics.top1", size_bytes={"max": 1000}), None, None)
    assert asked.excesses({"size_bytes": SearchFigure.exact(1500)}) == {"size_bytes ≤ 1000": 0.5}
    assert asked.excesses({"size_bytes": SearchFigure.exact(500)}) == {"size_bytes ≤ 1000": -0.5}
    assert asked.excesses({}) == {}
    assert asked.unknown({}) == ["metrics.top1", "size_bytes"]
