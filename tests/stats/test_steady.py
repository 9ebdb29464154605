"""Warm-up left in the counted samples and throttling are seen; noise, spikes and small drifts are
not called so."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata

from edgekit.stats import steadiness
from edgekit.stats.steady import _ranks


def noise(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Latencies with 3 % noise and a spike in every hundred."""
    generator = np.random.default_rng(seed)
    values = 1e6 * generator.lognormal(0, 0.03, n)
    values[generator.random(n) < 0.01] *= 5
    return values


@pytest.mark.parametrize("n", [64, 500, 20_000])
def test_noise_with_spikes_is_steady(n: int) -> None:
    for seed in range(20):
        outcome = steadiness(noise(n, seed))
        assert outcome is not None
        assert outcome.steady


@pytest.mark.parametrize(("n", "share"), [(64, 0.3), (500, 0.1), (20_000, 0.1), (20_000, 0.9)])
def test_a_change_of_level_is_found_where_it_is(n: int, share: float) -> None:
    values = noise(n)
    values[: int(n * share)] *= 1.3
    outcome = steadiness(values)
    assert outcome is not None
    assert not outcome.steady
    assert abs(outcome.change_at - n * share) <= max(3, 0.02 * n)
    assert outcome.before / outcome.after == pytest.approx(1.3, rel=0.05)


def test_a_small_change_does_not_matter() -> None:
    values = noise(5000)
    values[:2500] *= 1.02
    outcome = steadiness(values)
    assert outcome is not None
    assert outcome.p < 0.01
    assert outcome.steady


def test_pettitts_p_value_by_hand() -> None:
    """16 rising values over 16 falling places: U is largest in the middle, K = n²/4, p =
    2·exp(−6K²/(n³ + n²))."""
    outcome = steadiness([1.0] * 16 + [2.0] * 16)
    assert outcome is not None
    assert outcome.change_at == 16
    assert outcome.p == pytest.approx(2 * np.exp(-6 * 256**2 / (32**3 + 32**2)))
    assert not outcome.steady


def test_ranks_are_scipys() -> None:
    values = np.random.default_rng(0).integers(0, 20, 100).astype(float)
    assert np.array_equal(_ranks(values), rankdata(values))


def test_few_or_equal_samples() -> None:
    assert steadiness([1.0] * 31) is None
    equal = steadiness([1.0] * 100)
    assert equal is not None
    assert equal.steady
