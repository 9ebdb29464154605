"""What of two measurements is compared: for each pair of artifacts its latency, memory, size and
accuracy, in numbers, or why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit import stats
from edgekit.errors import UsageError
from edgekit.measure.measurement import ArtifactResult, Measurement
from edgekit.sanitize import printable
from edgekit.stats import Shift

Metric = Literal["latency_p50", "latency_p99", "peak_memory", "size", "accuracy"]
Pair = tuple[str, str]
"""The keys of two artifacts, such as `int8.tflite`, that are compared."""
UNITS: dict[Metric, str] = {
    "latency_p50": "ms",
    "latency_p99": "ms",
    "peak_memory": "bytes",
    "size": "bytes",
    "accuracy": "%",
}


@dataclass(frozen=True)
class Observed:
    """One metric of one pair, first (`a`) and second (`b`), in the unit of its metric.

    Of latency and memory `runs` are the values of the process runs; of accuracy `shift` is how far
    it fell from first to second, in percentage points. `why_not` says why they must not be judged,
    and `judged` is False for what cannot be had with these settings at all."""

    pair: str
    metric: Metric
    a: float | None
    b: float | None
    runs: tuple[list[float], list[float]] | None = None
    shift: Shift | None = None
    why_not: str = ""
    judged: bool = True
    note: str = ""


def observe(a: Measurement, b: Measurement, pairs: Sequence[Pair]) -> Iterator[Observed]:
    """Raises UsageError when a measurement has no artifact of a pair."""
    for first, second in pairs:
        one, other = _result(a, first), _result(b, second)
        name = first if first == second else f"{first} → {second}"
        why_not = a.unjudged(first) or b.unjudged(second)
        yield _of_runs(name, "latency_p50", one.run_medians_ns, other.run_medians_ns, why_not)
        yield _p99(name, one, other, why_not)
        invalid = (
            why_not if why_not.startswith("invalid") else ""
        )  # a busy or emulated device takes no less memory
        yield _memory(name, one, other, invalid)
        yield Observed(
            name, "size", float(one.artifact.file.bytes), float(other.artifact.file.bytes)
        )
        yield _accuracy(name, one, other, invalid)


def pair_names(pairs: Sequence[Pair]) -> list[str]:
    return [first if first == second else f"{first} → {second}" for first, second in pairs]


def _result(measurement: Measurement, key: str) -> ArtifactResult:
    found = measurement.result(key)
    if found is None:
        there = ", ".join(result.key for result in measurement.artifacts) or "no artifact"
        raise UsageError(
            f"measurement {measurement.id[:12]} has no artifact {printable(key)!r}",
            hint=f"it has {there}",
        )
    return found


def _of_runs(
    name: str, metric: Metric, first_ns: list[float], second_ns: list[float], why_not: str
) -> Observed:
    first, second = ([value / 1e6 for value in values] for values in (first_ns, second_ns))
    if not first or not second:
        return Observed(name, metric, None, None, why_not=why_not or "no complete run")
    return Observed(
        name,
        metric,
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
        return Observed(name, "latency_p99", None, None, why_not=reason, judged=False)
    tails = [
        [
            tail.value
            for run in result.complete_runs
            if (tail := stats.percentile(run.steady_ns, 0.99))
        ]
        for result in (a, b)
    ]
    return _of_runs(name, "latency_p99", tails[0], tails[1], why_not)


def _memory(name: str, a: ArtifactResult, b: ArtifactResult, why_not: str) -> Observed:
    peaks = [
        [float(run.peak_bytes) for run in result.complete_runs if run.peak_bytes is not None]
        for result in (a, b)
    ]
    if any(
        len(found) < len(result.complete_runs) or not found
        for found, result in zip(peaks, (a, b), strict=True)
    ):
        return Observed(
            name, "peak_memory", None, None, why_not=why_not or "the device does not tell"
        )
    return Observed(
        name,
        "peak_memory",
        stats.median(peaks[0]).value,
        stats.median(peaks[1]).value,
        (peaks[0], peaks[1]),
        why_not=why_not,
    )


def _accuracy(name: str, a: ArtifactResult, b: ArtifactResult, why_not: str) -> Observed:
    """On the device where both were measured there, else that of the exported files on the build
    host."""
    on_device, on_host = (
        (a.accuracy, b.accuracy),
        (
            a.artifact.verification,
            b.artifact.verification,
        ),
    )
    if (
        on_device[0]
        and on_device[1]
        and on_device[0].top1_correct is not None
        and on_device[1].top1_correct is not None
    ):
        counts = [(found.top1_correct or 0, found.samples) for found in on_device if found]
        right = [found.right_samples() for found in on_device if found]
        same_data = on_device[0].data_sha256 == on_device[1].data_sha256 != ""
        if same_data and right[0] is not None and right[1] is not None:
            shift = stats.paired_shift(
                int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()), len(right[0])
            )
            return _accuracies(name, counts, shift, why_not, "on the device, on the same samples")
        return _accuracies(
            name, counts, stats.independent_shift(*counts[0], *counts[1]), why_not, "on the device"
        )
    if all(
        check is not None and check.top1_correct is not None and check.top1_total
        for check in on_host
    ):
        counts = [(check.top1_correct or 0, check.top1_total or 0) for check in on_host if check]
        return _accuracies(
            name,
            counts,
            stats.independent_shift(*counts[0], *counts[1]),
            why_not,
            "on the build host",
        )
    return Observed(
        name,
        "accuracy",
        None,
        None,
        why_not="not known: no labels on the build host, and not measured on the device",
    )


def _accuracies(
    name: str, counts: list[tuple[int, int]], shift: Shift, why_not: str, note: str
) -> Observed:
    percents = [100 * correct / total for correct, total in counts]
    return Observed(
        name, "accuracy", percents[0], percents[1], shift=shift, why_not=why_not, note=note
    )
