"""Outputs of two artifacts on the same samples, as a bundle and a measurement keep it."""

from __future__ import annotations

import numpy as np

from edgekit.bundle.manifest import ArtifactAgreement
from edgekit.stats import fidelity
from edgekit.tasks.scoring import agreement_percent
from edgekit.tasks.task import Outputs, Task


def compared_outputs(
    task: Task | None, a: str, first: Outputs, b: str, second: Outputs
) -> ArtifactAgreement:
    """How far the answers of artifacts `a` and `b` agree, as their task says it, and how far the
    outputs of `b` are from those of `a`.

    Both have the same names and shapes. Without a task nothing is said about the answers."""
    return ArtifactAgreement(
        a=a,
        b=b,
        samples=len(next(iter(first.values()))),
        agreement_percent=None if task is None else agreement_percent(task, first, second),
        **({} if task is None else {"agreement_label": task.agreement_label}),
        snr_db=fidelity(_joined(first), _joined(second)).snr_db,
    )


def _joined(outputs: Outputs) -> np.ndarray:
    """All values of all outputs in a row."""
    return np.concatenate([np.ravel(values) for values in outputs.values()])
