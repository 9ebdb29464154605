"""A data source from outside edgekit: made-up vibrations of bearings, with the number of the
machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.data.source import Outline, Request, Source

MACHINES = 4


def load(request: Request, *, samples: int = 200) -> tuple[Any, ...]:
    generator = np.random.default_rng(request.seed)
    steps = request.inputs["vibration"].shape[0]
    wear = generator.uniform(0, 2, samples).astype(np.float32)
    machine = generator.integers(0, MACHINES, (samples, 1))
    noise = generator.standard_normal((samples, steps)).astype(np.float32)
    inputs = {"machine": machine, "vibration": noise * 0.1 + wear[:, None] + machine}
    cut = samples * 3 // 4
    train, test = (
        {k: v[part] for k, v in inputs.items()} for part in (slice(cut), slice(cut, None))
    )
    return train, wear[:cut], test, wear[cut:]


def outline(args: Mapping[str, Any], base: Path) -> Outline:
    return Outline((16,))


VIBRATION = Source(load=load, outline=outline)
