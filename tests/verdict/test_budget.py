"""Each limit of a budget, at its edge, beyond it, and without a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.manifest import Artifact, ArtifactAgreement, Manifest
from edgekit.metrics import MetricKind, metric_value
from edgekit.recipe.limits import Budget
from edgekit.stats import ClusteredShare, MedianRatio, clustered_share
from edgekit.verdict.budget import JudgedLimit, judge
from tests.support.measured import make_bundle, top1


@dataclass
class OnBoard:
    """A measurement with given numbers; None where nothing was measured."""

    ms: float | None = 2.0
    memory: int | None = 1000
    ratio: MedianRatio | None = None
    misses: ClusteredShare | None = None

    def p50_ms(self, key: str) -> float | None:
        return self.ms

    def peak_memory_bytes(self, key: str) -> int | None:
        return self.memory

    def speedup(self, baseline_key: str, key: str) -> MedianRatio | None:
        return self.ratio

    def deadline_misses(self, key: str, deadline_ms: float) -> ClusteredShare | None:
        return self.misses

    def unjudged(self, *keys: str) -> str:
        return "quick: 2 of 10 runs" if self.ms is None else ""


def artifact(
    template: Artifact, variant: str, backend: str, correct: int | None, size: int
) -> Artifact:
    verification = template.verification.model_copy(
        update={"metrics": () if correct is None else (top1(correct, 1000),)}
    )
    name = f"{variant}.{'tflite' if backend == 'litert' else 'pte'}"
    file = template.file.model_copy(update={"name": name, "bytes": size})
    return template.model_copy(
        update={"variant": variant, "backend": backend, "verification": verification, "file": file}
    )


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    opened = make_bundle(tmp_path / "bundle", ["fp32.pte"]).manifest
    template = opened.artifacts[0]
    artifacts = (
        artifact(template, "fp32", "xnnpack", 920, 8000),
        artifact(template, "int8", "xnnpack", 910, 1000),
        artifact(template, "fp32", "litert", 920, 8000),
        artifact(template, "int8", "litert", 900, 2000),
    )
    comparison = ArtifactAgreement(
        a="int8.pte", b="int8.tflite", samples=1000, agreement_percent=99.5, snr_db=30.0
    )
    return opened.model_copy(update={"artifacts": artifacts, "comparisons": (comparison,)})


def check(
    manifest: Manifest, limit: dict[str, Any], board: OnBoard | None = None
) -> dict[str, JudgedLimit]:
    budget = Budget.model_validate({"variants": {"int8": limit}})
    return {c.artifact: c for c in judge(budget, manifest, {"board": board} if board else {})}


def test_accuracy_drop_is_in_points_and_per_artifact(manifest: Manifest) -> None:
    checks = check(manifest, {"metrics": {"top1": {"max_drop": 1.0}}})
    assert checks["int8.pte"].limit == "metrics.top1.max_drop"
    assert checks["int8.pte"].metric is not None
    assert checks["int8.pte"].ok
    assert checks["int8.pte"].measured == 1.0
    assert not checks["int8.tflite"].ok
    assert checks["int8.tflite"].measured == 2.0


def test_a_drop_is_not_rounded_to_its_limit(manifest: Manifest) -> None:
    """1.4 points are more than 1."""
    template = manifest.artifacts[0]
    pair = (
        artifact(template, "fp32", "xnnpack", 920, 8000),
        artifact(template, "int8", "xnnpack", 906, 1000),
    )
    limits = {"metrics": {"top1": {"max_drop": 1.0}}}
    judged = check(manifest.model_copy(update={"artifacts": pair}), limits)["int8.pte"]
    assert (judged.ok, judged.measured) == (False, 1.4)


def test_a_metric_has_a_lower_and_an_upper_limit(manifest: Manifest) -> None:
    def met(**limit: float) -> bool:
        return check(manifest, {"metrics": {"top1": limit}})["int8.pte"].ok

    assert met(min=91.0)
    assert not met(min=91.1)
    assert met(max=91.0)
    assert not met(max=90.9)
    unknown = check(manifest, {"metrics": {"mae": {"max": 3.0}}})["int8.pte"]
    assert (unknown.ok, unknown.note) == (False, "not measured")


def test_of_an_error_a_rise_is_a_drop(manifest: Manifest) -> None:
    kind = MetricKind(name="mae", label="MAE", unit="px", higher_is_better=False, gate_margin=1)
    pair = tuple(
        a.model_copy(
            update={
                "verification": a.verification.model_copy(
                    update={"metrics": (metric_value(kind, np.full(9, value)),)}
                )
            }
        )
        for a, value in zip(manifest.artifacts[:2], (2.0, 2.5), strict=True)
    )
    whole = manifest.model_copy(update={"artifacts": pair})
    judged = check(whole, {"metrics": {"mae": {"max_drop": 0.4}}})["int8.pte"]
    assert (judged.ok, judged.measured) == (False, 0.5)


def test_the_baseline_is_of_the_same_backend(manifest: Manifest) -> None:
    checks = check(manifest, {"size_min_shrink_ratio": 6})
    assert checks["int8.pte"].measured == 8
    assert not checks["int8.tflite"].ok


def test_agreement_of_the_runtimes(manifest: Manifest) -> None:
    assert check(manifest, {"runtimes_min_agreement_percent": 99.5})["int8"].ok
    assert not check(manifest, {"runtimes_min_agreement_percent": 99.6})["int8"].ok
    without = manifest.model_copy(update={"comparisons": ()})
    assert check(without, {"runtimes_min_agreement_percent": 1})["int8"].note == "not measured"


@pytest.mark.parametrize(
    ("ratio", "ok", "word"),
    [
        (MedianRatio(1.8, 1.9, 2.0), True, "95 %"),
        (MedianRatio(1.7, 1.9, 2.0), False, "inconclusive"),
        (MedianRatio(1.1, 1.2, 1.3), False, "95 %"),
        (None, False, "not measured"),
    ],
)
def test_a_speedup_counts_when_its_whole_interval_does(
    manifest: Manifest, ratio: MedianRatio | None, ok: bool, word: str
) -> None:
    judged = check(manifest, {"latency_min_speedup_ratio": 1.8}, OnBoard(ratio=ratio))["int8.pte"]
    assert judged.ok is ok
    assert judged.note.startswith(word)


def test_limits_on_the_device(manifest: Manifest) -> None:
    limits = {"latency_p50_max_ms": 2.0, "peak_memory_max_bytes": 1000}
    assert all(c.ok for c in check(manifest, limits, OnBoard()).values())
    assert not any(
        c.ok for c in check(manifest, {"latency_p50_max_ms": 2.0}, OnBoard(ms=2.01)).values()
    )
    quick = check(manifest, {"latency_p50_max_ms": 2.0}, OnBoard(ms=None))["int8.pte"]
    assert (quick.ok, quick.note) == (False, "not measured: quick: 2 of 10 runs")
    unmeasured = check(manifest, {"peak_memory_max_bytes": 1000}, OnBoard(memory=None)).values()
    assert {c.note for c in unmeasured} == {"not measured"}
    assert not any(c.ok for c in unmeasured)


@pytest.mark.parametrize(
    ("counts", "limits", "ok", "words"),
    [
        ([0] * 10, {}, True, "0 of 10,000 over 5 ms, 95 % interval 0.00 to 0.0"),
        ([9, 11] * 5, {}, False, "inconclusive, 100 of 10,000 over 5 ms, 95 % interval 0."),
        ([20] * 10, {}, False, "200 of 10,000 over 5 ms, 95 % interval 1."),
        ([20] * 10, {"deadline_max_miss_percent": 3.0}, True, "200 of 10,000"),
        ([0] * 10, {"deadline_max_miss_percent": 0.0}, False, "inconclusive, 0 of 10,000"),
    ],
)
def test_a_deadline_is_met_when_its_whole_interval_is(
    manifest: Manifest, counts: list[int], limits: dict[str, float], ok: bool, words: str
) -> None:
    """`counts` of 1,000 inferences in each run."""
    board = OnBoard(misses=clustered_share(counts, [1000] * 10))
    judged = check(manifest, {"deadline_ms": 5.0, **limits}, board)["int8.pte"]
    assert judged.limit == "deadline_max_miss_percent"
    assert judged.allowed == limits.get("deadline_max_miss_percent", 1.0)
    assert judged.measured == pytest.approx(sum(counts) / 100)
    assert judged.ok is ok
    assert judged.note.startswith(words)


def test_a_deadline_that_was_not_measured_is_not_met(manifest: Manifest) -> None:
    quick = check(manifest, {"deadline_ms": 5.0}, OnBoard(ms=None))["int8.pte"]
    assert (quick.ok, quick.note) == (False, "not measured: quick: 2 of 10 runs")


def test_without_labels_accuracy_is_not_met(manifest: Manifest) -> None:
    bare = tuple(
        a.model_copy(update={"verification": a.verification.model_copy(update={"metrics": ()})})
        for a in manifest.artifacts
    )
    limits = {"metrics": {"top1": {"min": 1.0}}}
    checks = check(manifest.model_copy(update={"artifacts": bare}), limits)
    assert {c.ok for c in checks.values()} == {False}
