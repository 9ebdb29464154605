"""The schedules at their corners."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.compress.training.learning_rate import learning_rate


def rates(total: int = 100, per_epoch: int = 10, **options: Any) -> list[float]:
    settings: dict[str, Any] = {
        "lr": 2.0,
        "schedule": "constant",
        "warmup_epochs": 0.0,
        "step_epochs": 10.0,
    } | options
    return [learning_rate(step, total, per_epoch, **settings) for step in range(total)]


def test_constant_and_step() -> None:
    assert set(rates()) == {2.0}
    assert rates(schedule="step", step_epochs=2.5)[24:26] == pytest.approx([2.0, 0.2])
    assert rates(schedule="step", step_epochs=2.5)[-1] == pytest.approx(2e-3)


def test_linear_and_cosine_fall_from_the_peak_to_almost_nothing() -> None:
    for schedule, half in (("linear", 1.0), ("cosine", 1.0)):
        by_step = rates(schedule=schedule)
        assert by_step[0] == 2.0
        assert by_step[50] == pytest.approx(half)
        assert 0 < by_step[-1] < 0.03
        assert by_step == sorted(by_step, reverse=True)
    assert rates(schedule="cosine")[25] > rates(schedule="linear")[25]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_rises_in_a_line_to_the_peak_and_the_rest_has_the_remaining_steps(
    schedule: str,
) -> None:
    by_step = rates(schedule=schedule, warmup_epochs=1.5)
    assert by_step[:15] == pytest.approx([2.0 * (i + 1) / 15 for i in range(15)])
    assert by_step[15] == 2.0
    assert max(by_step) == 2.0


def test_a_training_of_one_step() -> None:
    assert rates(total=1, per_epoch=1, schedule="cosine") == [2.0]
