"""How long a step takes, measured again and again on one sample after the other."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

Sample = TypeVar("Sample")
WARMUP_ITERATIONS = 8
MIN_ITERATIONS = 64
MOST_ITERATIONS = 1 << 16
MIN_NS = 200_000_000
MAX_NS = 5_000_000_000


def times_ns(step: Callable[[Sample], object], samples: Sequence[Sample]) -> list[int]:
    """The times of a step, one sample after the other, until they are enough to know its median."""
    times: list[int] = []
    spent_ns = 0
    for number in itertools.count(-WARMUP_ITERATIONS):
        started_ns = time.perf_counter_ns()
        step(samples[number % len(samples)])
        taken_ns = time.perf_counter_ns() - started_ns
        spent_ns += taken_ns
        if number >= 0:
            times.append(taken_ns)
        enough = len(times) >= MIN_ITERATIONS and spent_ns >= MIN_NS
        if enough or len(times) == MOST_ITERATIONS or (times and spent_ns >= MAX_NS):
            break
    return times
