"""The learning rate as a function of the step: nothing to save, nothing to get out of step with."""

from __future__ import annotations

import math


def learning_rate(
    step: int,
    total: int,
    steps_per_epoch: int,
    *,
    lr: float,
    schedule: str,
    warmup_epochs: float,
    step_epochs: float,
) -> float:
    """The rate for the update number `step` (from 0) of `total`.

    Rises in a line over `warmup_epochs` to `lr`; then `constant`, `linear` to 0, `cosine` to 0
    (Loshchilov & Hutter 2017, arXiv:1608.03983), or `step`: a tenth every `step_epochs`, counted
    from the start of training."""
    warmup = round(warmup_epochs * steps_per_epoch)
    if step < warmup:
        return lr * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    factors = {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
        "step": 0.1 ** math.floor(step / (step_epochs * steps_per_epoch)),
    }
    return lr * factors[schedule]
