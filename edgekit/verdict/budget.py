"""The verdict on a recipe's budget: each limit against what was measured. Pure; a limit that could
not be measured is not met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from edgekit.bundle.manifest import Artifact, Manifest
from edgekit.metrics import MetricKind, named_metric
from edgekit.recipe.limits import DEADLINE_MISS_PERCENT, Budget, MetricLimit, VariantBudget
from edgekit.stats import ClusteredShare, MedianRatio


class Measured(Protocol):
    """What a measurement on a target tells about its artifacts, by artifact key such as
    `int8.tflite`."""

    def p50_ms(self, key: str) -> float | None: ...

    def deadline_misses(self, key: str, deadline_ms: float) -> ClusteredShare | None: ...

    def peak_memory_bytes(self, key: str) -> int | None: ...

    def speedup(self, baseline_key: str, key: str) -> MedianRatio | None: ...

    def unjudged(self, *keys: str) -> str: ...


@dataclass(frozen=True)
class JudgedLimit:
    """One limit on one artifact. `measured` is None when it could not be measured, which counts as
    not met."""

    artifact: str
    limit: str
    allowed: float
    measured: float | None
    ok: bool
    note: str = ""
    metric: MetricKind | None = None
    """Of a limit on a metric."""


def judge(
    budget: Budget, manifest: Manifest, measurements: Mapping[str, Measured]
) -> tuple[JudgedLimit, ...]:
    """All limits of a budget. `measurements` by target name; without any, limits on latency and
    memory are left to the later run on a target."""
    return tuple(
        verdict
        for variant, limits in budget.variants.items()
        for verdict in _judge_variant(variant, limits, budget, manifest, measurements)
    )


def _judge_variant(
    variant: str,
    limits: VariantBudget,
    budget: Budget,
    manifest: Manifest,
    measurements: Mapping[str, Measured],
) -> Iterator[JudgedLimit]:
    by_key = {(a.variant, a.backend): a for a in manifest.artifacts}
    baseline = budget.baseline or manifest.artifacts[0].variant
    for artifact in (a for a in manifest.artifacts if a.variant == variant):
        yield from _judge_build(artifact, by_key.get((baseline, artifact.backend)), limits)
        for target, measured in measurements.items():
            suffix = f" on {target}" if len(measurements) > 1 else ""
            yield from _judge_measured(
                artifact, by_key.get((baseline, artifact.backend)), limits, measured, suffix
            )
    if limits.runtimes_min_agreement_percent is not None:
        yield _at_least(
            variant,
            "runtimes_min_agreement_percent",
            limits.runtimes_min_agreement_percent,
            runtime_agreement_percent(manifest, variant),
        )


def _judge_build(
    artifact: Artifact, baseline: Artifact | None, limits: VariantBudget
) -> Iterator[JudgedLimit]:
    for name, limit in limits.metrics.items():
        yield from _judge_metric(artifact, baseline, name, limit)
    if limits.size_max_bytes is not None:
        yield _at_most(artifact.key, "size_max_bytes", limits.size_max_bytes, artifact.file.bytes)
    if limits.size_min_shrink_ratio is not None:
        yield _at_least(
            artifact.key,
            "size_min_shrink_ratio",
            limits.size_min_shrink_ratio,
            baseline.file.bytes / artifact.file.bytes if baseline else None,
        )


def _judge_metric(
    artifact: Artifact, baseline: Artifact | None, name: str, limit: MetricLimit
) -> Iterator[JudgedLimit]:
    """The limits of one metric, on the test set of the build host."""
    metric = named_metric(artifact.verification.metrics, name)
    reference = named_metric(baseline.verification.metrics, name) if baseline else None
    value = metric.value if metric else None
    verdicts = []
    if limit.min is not None:
        verdicts.append(_at_least(artifact.key, f"metrics.{name}.min", limit.min, value))
    if limit.max is not None:
        verdicts.append(_at_most(artifact.key, f"metrics.{name}.max", limit.max, value))
    if limit.max_drop is not None:
        # Without the noise of a float's last digits: 92 % to 91 % is a drop of 1 point.
        drop = None
        if metric is not None and reference is not None:
            drop = round(metric.drop(reference.value, metric.value), 9)
        verdicts.append(_at_most(artifact.key, f"metrics.{name}.max_drop", limit.max_drop, drop))
    yield from (replace(verdict, metric=metric) for verdict in verdicts)


def _judge_measured(
    artifact: Artifact,
    baseline: Artifact | None,
    limits: VariantBudget,
    measured: Measured,
    suffix: str,
) -> Iterator[JudgedLimit]:
    key = artifact.key
    name = artifact.key + suffix
    if limits.latency_p50_max_ms is not None:
        yield _at_most(
            name,
            "latency_p50_max_ms",
            limits.latency_p50_max_ms,
            measured.p50_ms(key),
            why=measured.unjudged(key),
        )
    if limits.deadline_ms is not None:
        yield _deadline(name, limits, limits.deadline_ms, measured, key)
    if limits.peak_memory_max_bytes is not None:
        yield _at_most(
            name,
            "peak_memory_max_bytes",
            limits.peak_memory_max_bytes,
            measured.peak_memory_bytes(key),
        )
    if limits.latency_min_speedup_ratio is not None:
        ratio = measured.speedup(baseline.key, key) if baseline else None
        yield _speedup(
            name,
            limits.latency_min_speedup_ratio,
            ratio,
            why=measured.unjudged(key, *([baseline.key] if baseline else [])),
        )


def _deadline(
    artifact: str, limits: VariantBudget, deadline_ms: float, measured: Measured, key: str
) -> JudgedLimit:
    """Met only when the whole interval lies at or below the limit: too few inferences prove
    nothing."""
    limit = "deadline_max_miss_percent"
    allowed = limits.deadline_max_miss_percent
    allowed = DEADLINE_MISS_PERCENT if allowed is None else allowed
    misses = measured.deadline_misses(key, deadline_ms)
    if misses is None:
        return _at_most(artifact, limit, allowed, None, why=measured.unjudged(key))
    low, share, high = (100 * each for each in (misses.low, misses.share, misses.high))
    verdict = "inconclusive, " if low <= allowed < high else ""
    note = (
        f"{verdict}{misses.count:,} of {misses.total:,} over {deadline_ms:g} ms, 95 % interval"
        f" {low:.2f} to {high:.2f} %"
    )
    return JudgedLimit(artifact, limit, allowed, share, high <= allowed, note)


def _speedup(artifact: str, allowed: float, ratio: MedianRatio | None, *, why: str) -> JudgedLimit:
    """Met only when the whole interval lies at or above the limit: an inconclusive speed-up is not
    a pass."""
    limit = "latency_min_speedup_ratio"
    if ratio is None:
        return _at_least(artifact, limit, allowed, None, why=why)
    verdict = "inconclusive, " if ratio.low < allowed <= ratio.high else ""
    return JudgedLimit(
        artifact,
        limit,
        allowed,
        ratio.mid,
        ratio.low >= allowed,
        f"{verdict}95 % interval {ratio.low:.2f} to {ratio.high:.2f}",
    )


def runtime_agreement_percent(manifest: Manifest, variant: str) -> float | None:
    """How far the answers of the variant's .pte and .tflite agree on the test set, in percent."""
    keys = {a.key for a in manifest.artifacts if a.variant == variant}
    for comparison in manifest.comparisons:
        if len(keys) == 2 and {comparison.a, comparison.b} == keys:
            return comparison.agreement_percent
    return None


def _at_least(
    artifact: str, limit: str, allowed: float, measured: float | None, *, why: str = ""
) -> JudgedLimit:
    """`why` says why nothing was measured."""
    return JudgedLimit(
        artifact,
        limit,
        allowed,
        measured,
        measured is not None and measured >= allowed,
        _note(measured, why),
    )


def _at_most(
    artifact: str, limit: str, allowed: float, measured: float | None, *, why: str = ""
) -> JudgedLimit:
    return JudgedLimit(
        artifact,
        limit,
        allowed,
        measured,
        measured is not None and measured <= allowed,
        _note(measured, why),
    )


def _note(measured: float | None, why: str) -> str:
    if measured is not None:
        return ""
    return f"not measured: {why}" if why else "not measured"
