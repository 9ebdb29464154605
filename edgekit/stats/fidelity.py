"""How far outputs are from reference outputs, in real (dequantized) values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

MOST_DB = 300.0


@dataclass(frozen=True)
class Fidelity:
    """Outputs against their reference. `snr_db` is None when they are equal, and otherwise kept
    within ±300 dB; `finite` says that no value is NaN or infinite, without which the other numbers
    are zero."""

    finite: bool
    equal: bool
    max_abs_error: float
    snr_db: float | None
    cosine: float


def fidelity(reference: ArrayLike, actual: ArrayLike) -> Fidelity:
    """Compare two arrays of one shape. Raises ValueError for different shapes."""
    expected = np.asarray(reference, dtype=np.float64)
    measured = np.asarray(actual, dtype=np.float64)
    if expected.shape != measured.shape:
        raise ValueError(f"shapes differ: {expected.shape} and {measured.shape}")
    if not (np.isfinite(expected).all() and np.isfinite(measured).all()):
        return Fidelity(finite=False, equal=False, max_abs_error=0.0, snr_db=-MOST_DB, cosine=0.0)
    decibels = snr_db(expected, measured)
    return Fidelity(
        finite=True,
        equal=bool(np.array_equal(expected, measured)),
        max_abs_error=float(np.abs(expected - measured).max(initial=0.0)),
        snr_db=None if decibels == math.inf else max(-MOST_DB, min(MOST_DB, decibels)),
        cosine=cosine(expected, measured),
    )


def snr_db(reference: ArrayLike, actual: ArrayLike) -> float:
    """Signal-to-noise ratio 10·log10(Σ reference² / Σ (reference − actual)²) in dB: infinite when
    equal, −infinite for noise without a signal."""
    expected = np.asarray(reference, dtype=np.float64)
    measured = np.asarray(actual, dtype=np.float64)
    scale = (
        max(
            float(np.abs(expected).max(initial=0.0)),
            float(np.abs(expected - measured).max(initial=0.0)),
        )
        or 1.0
    )
    signal = float(np.sum((expected / scale) ** 2))
    noise = float(np.sum(((expected - measured) / scale) ** 2))
    return decibels(signal, noise)


def decibels(signal: float, noise: float) -> float:
    """10·log10(signal / noise) of two sums of squares: infinite without noise, −infinite for noise
    without a signal."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def cosine(reference: ArrayLike, actual: ArrayLike) -> float:
    """Cosine of the angle between two arrays seen as vectors, −1…1; two zero vectors count as 1, a
    zero and a non-zero one as 0."""
    expected = np.asarray(reference, dtype=np.float64).ravel()
    measured = np.asarray(actual, dtype=np.float64).ravel()
    lengths = [float(np.abs(vector).max(initial=0.0)) for vector in (expected, measured)]
    if 0.0 in lengths:
        return 1.0 if lengths == [0.0, 0.0] else 0.0
    expected = expected / lengths[0]
    measured = measured / lengths[1]
    return max(
        -1.0,
        min(
            1.0, float(expected @ measured / (np.linalg.norm(expected) * np.linalg.norm(measured)))
        ),
    )
