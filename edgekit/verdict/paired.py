"""What of two measurements is compared: for each pair of artifacts its latency, memory and size and
the task's metrics, in numbers, or why there are none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from edgekit import stats
from edgekit.errors import UsageError
from edgekit.measure.measurement import Measurement
from edgekit.measure.runs import ArtifactResult, unlike_runners
from edgekit.recipe.limits import DEADLINE_RISE_POINTS
from edgekit.sanitize import printable
from edgekit.verdict.metrics import observed_metrics
from edgekit.verdict.quantities import (
    LATENCY_P50,
    LATENCY_P99,
    PEAK_MEMORY,
    SIZE,
    Observed,
    Quantity,
    deadline_misses,
)

Pair = tuple[str, str]
"""The keys of two artifacts, such as `int8.tflite`, that are compared."""


@dataclass(frozen=True)
class Deadline:
    """How long an inference may take, and how many percentage points more or less of them may take
    longer."""

    ms: float
    margin_points: float = DEADLINE_RISE_POINTS


def observe(
    a: Measurement,
    b: Measurement,
    pairs: Sequence[Pair],
    expected: Collection[str] = (),
    deadline: Deadline | None = None,
) -> Iterator[Observed]:
    """`expected` names metrics that somebody sets a limit to: they are observed even where they
    were not measured. With a deadline, its misses are observed too.

    Raises UsageError when a measurement has no artifact of a pair."""
    for first, second in pairs:
        result_a = _result(a, first)
        result_b = _result(b, second)
        name = first if first == second else f"{first} → {second}"
        unlike = unlike_runners(result_a, result_b)
        why_not = a.unjudged(first) or b.unjudged(second) or unlike
        yield _of_runs(name, LATENCY_P50, result_a.run_medians_ns, result_b.run_medians_ns, why_not)
        yield _p99(name, result_a, result_b, why_not)
        if deadline:
            yield _misses(name, deadline, result_a, result_b, why_not)
        invalid = (
            why_not if why_not.startswith("invalid") else ""
        )  # a busy or emulated device takes no less memory
        yield _memory(name, result_a, result_b, invalid or unlike)
        yield Observed(
            name, SIZE, float(result_a.artifact.file.bytes), float(result_b.artifact.file.bytes)
        )
        yield from observed_metrics(name, result_a, result_b, invalid, expected)


def _result(measurement: Measurement, key: str) -> ArtifactResult:
    result = measurement.result(key)
    if result is None:
        present = ", ".join(result.key for result in measurement.artifacts) or "no artifact"
        raise UsageError(
            f"measurement {measurement.id[:12]} has no artifact {printable(key)!r}",
            hint=f"it has {present}",
        )
    return result


def _of_runs(
    name: str, quantity: Quantity, first_ns: list[float], second_ns: list[float], why_not: str
) -> Observed:
    first = [value / 1e6 for value in first_ns]
    second = [value / 1e6 for value in second_ns]
    if not first or not second:
        return Observed(name, quantity, None, None, why_not=why_not or "no complete run")
    return Observed(
        name,
        quantity,
        stats.median(first).value,
        stats.median(second).value,
        (first, second),
        why_not=why_not,
    )


def _p99(name: str, a: ArtifactResult, b: ArtifactResult, why_not: str) -> Observed:
    """Of each run its own, as runs are what is compared."""
    floor = stats.percentile_floor(0.99)
    fewest = min(
        (len(run.steady_ns) for result in (a, b) for run in result.complete_runs), default=0
    )
    if fewest < floor:
        reason = (
            f"p99 needs {floor} samples in each run, there are {fewest}: raise bench.min_iterations"
        )
        return Observed(name, LATENCY_P99, None, None, why_not=reason, judged=False)
    return _of_runs(name, LATENCY_P99, _run_tails_ns(a), _run_tails_ns(b), why_not)


def _misses(
    name: str, deadline: Deadline, a: ArtifactResult, b: ArtifactResult, why_not: str
) -> Observed:
    quantity = deadline_misses(deadline.ms, deadline.margin_points)
    first, second = (result.deadline_misses(deadline.ms) for result in (a, b))
    if first is None or second is None:
        return Observed(name, quantity, None, None, why_not=why_not or "no complete run")
    return Observed(
        name,
        quantity,
        100 * first.share,
        100 * second.share,
        shift=stats.share_shift(second, first),
        why_not=why_not,
        note=f"{first.total:,} and {second.total:,} inferences",
    )


def _run_tails_ns(result: ArtifactResult) -> list[float]:
    """The p99 of each run."""
    tails = [stats.percentile(run.steady_ns, 0.99) for run in result.complete_runs]
    return [tail.value for tail in tails if tail]


def _memory(name: str, a: ArtifactResult, b: ArtifactResult, why_not: str) -> Observed:
    added = [[run.model_bytes for run in result.complete_runs] for result in (a, b)]
    known = [[float(count) for count in counts if count is not None] for counts in added]
    if not all(known) or [*map(len, known)] != [*map(len, added)]:
        return Observed(
            name, PEAK_MEMORY, None, None, why_not=why_not or "the device does not tell"
        )
    # A model that adds nothing that can be seen is not infinitely smaller than one that does.
    first, second = ([max(count, 1.0) for count in counts] for counts in known)
    return Observed(
        name,
        PEAK_MEMORY,
        stats.median(first).value,
        stats.median(second).value,
        (first, second),
        why_not=why_not,
        note=_beside(a, b),
    )


def _beside(*results: ArtifactResult) -> str:
    """What the runners take by themselves, which is not compared; two of a kind are said once."""
    own: dict[str, list[float]] = {}
    for result in results:
        marks = [run.memory_at("baseline") for run in result.complete_runs]
        sizes = [float(mark.rss_bytes) for mark in marks if mark is not None]
        own.setdefault(result.artifact.runtime, []).extend(sizes)
    sizes_mb = [f"{stats.median(sizes).value / 1e6:.1f}" for sizes in own.values()]
    return f"beside {' and '.join(sizes_mb)} MB of the runner's own"
