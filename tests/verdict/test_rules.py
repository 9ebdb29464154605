"""Verdicts on accuracy, size and memory, and what is not judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.measure.extra_results import Accuracy
from edgekit.measure.measurement import Measurement, Note
from edgekit.verdict.paired import Metric, Observed, observe
from edgekit.verdict.rules import compared, gated
from tests.support.measured import make_bundle, make_measurement

KEY = [("fp32.pte", "fp32.pte")]
LIMITS: dict[Metric, float | None] = {
    "latency_p50": 1.05,
    "latency_p99": None,
    "peak_memory": 1.05,
    "size": 1.02,
    "accuracy": 1.0,
}


@pytest.fixture
def measured(tmp_path: Path) -> Measurement:
    return make_measurement(make_bundle(tmp_path / "bundle", ["fp32.pte"]))


def with_accuracy(measurement: Measurement, right: Any, data: str = "d") -> Measurement:
    bits = np.asarray(right, dtype=bool)
    found = Accuracy(
        samples=len(bits),
        top1_correct=int(bits.sum()),
        top5_correct=None,
        same_top1=None,
        max_abs_error=0.0,
        snr_db=None,
        right=Accuracy.bits(bits),
        data_sha256=data,
    )
    return measurement.model_copy(
        update={"artifacts": (measurement.artifacts[0].model_copy(update={"accuracy": found}),)}
    )


def verdicts(a: Measurement, b: Measurement) -> dict[str, str]:
    return {one.metric: one.verdict for one in gated(tuple(observe(a, b, KEY)), LIMITS)}


def one(observed: list[Observed], metric: str) -> Observed:
    return next(found for found in observed if found.metric == metric)


def test_accuracy_on_the_same_samples_is_paired(measured: Measurement) -> None:
    """Of 1,000 samples both miss the same 100: paired, that decides; were the samples unrelated, it
    would not."""
    right = np.arange(1000) >= 100
    a, b = with_accuracy(measured, right), with_accuracy(measured, right)
    assert one(list(observe(a, b, KEY)), "accuracy").note == "on the device, on the same samples"
    assert verdicts(a, b)["accuracy"] == "passed"
    unrelated = with_accuracy(measured, right, data="other")
    assert verdicts(a, unrelated)["accuracy"] == "inconclusive"


def test_accuracy_that_fell_is_a_regression_and_a_rise_is_none(measured: Measurement) -> None:
    good, bad = (
        with_accuracy(measured, np.arange(1000) >= 50),
        with_accuracy(measured, np.arange(1000) >= 100),
    )
    assert verdicts(good, bad)["accuracy"] == "regressed"
    assert verdicts(bad, good)["accuracy"] == "passed"
    [found] = [
        f
        for f in compared(tuple(observe(bad, good, KEY)), margin_ratio=1.05, margin_points=1)
        if f.metric == "accuracy"
    ]
    assert (found.verdict, found.mid) == ("better", -5)


def test_without_an_evaluation_set_the_build_hosts_accuracy_counts(measured: Measurement) -> None:
    found = one(list(observe(measured, measured, KEY)), "accuracy")
    assert (found.a, found.note) == (92.0, "on the build host")
    assert verdicts(measured, measured)["accuracy"] == "inconclusive"


def larger(measurement: Measurement, factor: float) -> Measurement:
    result = measurement.artifacts[0]
    file = result.artifact.file.model_copy(
        update={"bytes": round(result.artifact.file.bytes * factor)}
    )
    runs = tuple(
        run.model_copy(
            update={
                "memory": tuple(
                    m.model_copy(update={"peak_rss_bytes": round((m.peak_rss_bytes or 0) * factor)})
                    for m in run.memory
                )
            }
        )
        for run in result.runs
    )
    changed = result.model_copy(
        update={"artifact": result.artifact.model_copy(update={"file": file}), "runs": runs}
    )
    return measurement.model_copy(update={"artifacts": (changed,)})


def test_size_is_exact_and_memory_is_over_runs(measured: Measurement) -> None:
    assert {
        k: v
        for k, v in verdicts(measured, larger(measured, 1.5)).items()
        if k in ("size", "peak_memory")
    } == {
        "peak_memory": "regressed",
        "size": "regressed",
    }
    assert verdicts(measured, larger(measured, 0.5))["size"] == "passed"
    assert verdicts(measured, measured)["peak_memory"] == "passed"


def test_what_is_invalid_or_meaningless_is_never_passed(measured: Measurement) -> None:
    throttled = measured.model_copy(
        update={"notes": (Note(level="invalid", code="throttled", text="the device throttled"),)}
    )
    assert set(verdicts(measured, throttled).values()) == {
        "inconclusive",
        "passed",
    }  # the size is what it is
    assert verdicts(measured, throttled)["latency_p50"] == "inconclusive"
    emulated = measured.model_copy(update={"timings": "meaningless", "timings_reason": "qemu"})
    found = verdicts(measured, emulated)
    assert (found["latency_p50"], found["peak_memory"]) == ("inconclusive", "passed")


def test_all_tests_of_a_gate_are_corrected_together(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "two")
    a, b = make_measurement(bundle, number=1), make_measurement(bundle, number=2)
    alone = gated(tuple(observe(a, b, KEY)), LIMITS | {"peak_memory": None})
    both = gated(
        tuple(observe(a, b, [*KEY, ("int8.tflite", "int8.tflite")])), LIMITS | {"peak_memory": None}
    )
    p_alone, p_both = (
        next(f.p for f in found if f.pair == "fp32.pte" and f.metric == "latency_p50")
        for found in (alone, both)
    )
    assert p_alone is not None
    assert p_both is not None
    assert p_both >= p_alone
