"""How sparsity rises over training steps. Pure arithmetic: knows no torch and no model."""

from __future__ import annotations

from edgekit.errors import UsageError


def polynomial_sparsity(
    step: int, *, initial: float, final: float, begin_step: int, end_step: int, power: float = 3.0
) -> float:
    """The fraction of zero weights at a training step.

    s(t) = final + (initial − final)·(1 − (t − begin)/(end − begin))^power, held at `initial` before
    `begin_step` and at `final` from `end_step` on (Zhu & Gupta 2017, arXiv:1710.01878, eq. 1; as
    PolynomialDecay of TensorFlow's model optimization toolkit).

    Raises UsageError: an end that is not after the begin, sparsities outside 0 ≤ s < 1, a power
    that is not positive."""
    if not 0 <= begin_step < end_step:
        raise UsageError(
            f"sparsity schedule: end_step {end_step} must come after begin_step {begin_step}",
            hint="set end_step, or train longer",
        )
    if not (0 <= initial < 1 and 0 <= final < 1 and power > 0):
        raise UsageError(
            f"sparsity schedule: initial {initial}, final {final} and power {power} need 0 <="
            " sparsity < 1 and power > 0"
        )
    if step >= end_step:
        return final
    progress = max(0, step - begin_step) / (end_step - begin_step)
    return final + (initial - final) * (1 - progress) ** power


def last_update(step: int, *, begin_step: int, end_step: int, frequency: int) -> int | None:
    """The latest step up to `step` at which masks are renewed: every `frequency` steps from
    `begin_step`, and at `end_step`.

    None before the first.
    """
    if step < begin_step:
        return None
    return (
        end_step if step >= end_step else begin_step + (step - begin_step) // frequency * frequency
    )
