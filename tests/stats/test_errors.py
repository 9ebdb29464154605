"""How often the rule errs, on runs of real runner processes that were recorded in turn: the figures
of edgekit/verdict/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.stats.errors import error_rates

RECORDED = json.loads((Path(__file__).parents[1] / "captured" / "aa-runs.json").read_text())


@pytest.mark.nightly
@pytest.mark.parametrize("artifact", ["int8.pte", "int8.tflite"])
def test_on_recorded_runs_identical_builds_are_not_told_apart_and_a_fifth_slower_is_found(
    artifact: str,
) -> None:
    rates = error_rates(RECORDED[artifact]["first"], RECORDED[artifact]["second"], resamples=1000)
    print(
        f"{artifact}: false positives {100 * rates.false_positive_rate:.1f} %, power"
        f" {100 * rates.power:.1f} % ({RECORDED['what']})"
    )
    assert rates.resamples >= 1000
    assert rates.false_positive_rate <= 0.05
    assert rates.power_runs == 20
    assert rates.power >= 0.8


@pytest.mark.nightly
def test_noise_costs_power_before_it_costs_trust() -> None:
    generator = np.random.default_rng(1)

    def medians(spread: float) -> list[float]:
        return generator.lognormal(0, spread, 40).tolist()

    noisy = error_rates(medians(0.3), medians(0.3), resamples=200)
    quiet = error_rates(medians(0.01), medians(0.01), resamples=200)
    assert noisy.power < quiet.power == 1.0
    assert noisy.false_positive_low <= noisy.false_positive_rate <= noisy.false_positive_high
    assert noisy.false_positive_rate <= 0.08


def test_a_side_that_is_always_slower_within_a_round_does_not_hide() -> None:
    """Exchanging the sides of a round keeps what a round shares: drift over the session is no
    difference."""
    drift = np.linspace(1.0, 2.0, 40)
    rates = error_rates(drift.tolist(), (drift * 1.001).tolist(), resamples=100)
    assert rates.false_positive_rate == 0


def test_too_few_rounds() -> None:
    with pytest.raises(ValueError, match="10 rounds"):
        error_rates([1.0] * 9, [1.0] * 9)
