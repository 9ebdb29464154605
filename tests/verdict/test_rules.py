"""Verdicts on accuracy, size and memory, and what is not judged."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.measure.extra_results import DeviceEvaluation
from edgekit.measure.measurement import Measurement, MeasurementNote
from edgekit.measure.protocol_lines import MemoryMark
from edgekit.metrics import MetricKind, MetricValue, metric_value
from edgekit.stats import Shift
from edgekit.tasks.classification import TOP1
from edgekit.verdict.metrics import metric_drop
from edgekit.verdict.paired import observe
from edgekit.verdict.quantities import Observed, Quantity
from edgekit.verdict.rules import Finding, compared, gated
from tests.support.measured import make_bundle, make_measurement

KEY = [("fp32.pte", "fp32.pte")]
LIMITS: dict[str, float | None] = {
    "latency_p50": 1.05,
    "latency_p99": None,
    "peak_memory": 1.05,
    "size": 1.02,
    "top1": 1.0,
}


NUMBERS = itertools.count(1)


@pytest.fixture
def measured(tmp_path: Path) -> Measurement:
    return make_measurement(make_bundle(tmp_path / "bundle", ["fp32.pte"]))


def with_metric(
    measurement: Measurement, per_sample: Any, data: str = "d", kind: MetricKind = TOP1
) -> Measurement:
    """A measurement of another file, whose metric on the device is that of these samples."""
    values = np.asarray(per_sample)
    evaluation = DeviceEvaluation(
        samples=len(values),
        metrics=(metric_value(kind, values, keep_samples=True),),
        agreement_percent=None,
        max_abs_error=0.0,
        snr_db=None,
        data_sha256=data,
    )
    return other_file(measurement, evaluation=evaluation)


def other_file(measurement: Measurement, **update: Any) -> Measurement:
    """The same measurement of a file with other bytes."""
    result = measurement.artifacts[0]
    file = result.artifact.file.model_copy(update={"sha256": f"{next(NUMBERS):064x}"})
    artifact = result.artifact.model_copy(update={"file": file})
    changed = result.model_copy(update={"artifact": artifact, **update})
    return measurement.model_copy(update={"artifacts": (changed,)})


def verdicts(a: Measurement, b: Measurement) -> dict[str, str]:
    return {finding.metric: finding.verdict for finding in gated(tuple(observe(a, b, KEY)), LIMITS)}


def of_metric(observed: list[Observed], metric: str) -> Observed:
    return next(entry for entry in observed if entry.metric == metric)


def test_accuracy_on_the_same_samples_is_paired(measured: Measurement) -> None:
    """Of 1,000 samples both miss the same 100: paired, that decides; were the samples unrelated, it
    would not."""
    right = np.arange(1000) >= 100
    a, b = with_metric(measured, right), with_metric(measured, right)
    assert of_metric(list(observe(a, b, KEY)), "top1").note == "on the device, on the same samples"
    assert verdicts(a, b)["top1"] == "passed"
    unrelated = with_metric(measured, right, data="other")
    assert verdicts(a, unrelated)["top1"] == "inconclusive"


def test_accuracy_that_fell_is_a_regression_and_a_rise_is_none(measured: Measurement) -> None:
    good, bad = (
        with_metric(measured, np.arange(1000) >= 50),
        with_metric(measured, np.arange(1000) >= 100),
    )
    assert verdicts(good, bad)["top1"] == "regressed"
    assert verdicts(bad, good)["top1"] == "passed"
    [finding] = [
        f for f in compared(tuple(observe(bad, good, KEY)), margin_ratio=1.05) if f.metric == "top1"
    ]
    assert (finding.verdict, finding.mid) == ("better", -5)


def test_without_an_evaluation_set_the_build_hosts_accuracy_counts(measured: Measurement) -> None:
    other = other_file(measured)
    top1 = of_metric(list(observe(measured, other, KEY)), "top1")
    assert (top1.a, top1.note) == (92.0, "on the build host")
    assert verdicts(measured, other)["top1"] == "inconclusive"


def with_host_metric(measurement: Measurement, right: Any, data_sha256: str) -> Measurement:
    """A measurement of another file, whose accuracy is that of these samples on the build host."""
    changed = other_file(measurement)
    result = changed.artifacts[0]
    metric = metric_value(TOP1, np.asarray(right), keep_samples=True)
    verification = result.artifact.verification.model_copy(
        update={"metrics": (metric,), "data_sha256": data_sha256}
    )
    artifact = result.artifact.model_copy(update={"verification": verification})
    return changed.model_copy(
        update={"artifacts": (result.model_copy(update={"artifact": artifact}),)}
    )


def test_on_the_build_host_the_same_samples_are_paired_too(measured: Measurement) -> None:
    """As on the device: of the same test set, and where the samples were kept."""
    right, data = np.arange(1000) >= 100, "a" * 64
    a, b = (with_host_metric(measured, right, data) for _ in "ab")
    top1 = of_metric(list(observe(a, b, KEY)), "top1")
    assert top1.note == "on the build host, on the same samples"
    assert verdicts(a, b)["top1"] == "passed"
    for other in (with_host_metric(measured, right, "b" * 64), with_host_metric(a, right, "")):
        assert of_metric(list(observe(a, other, KEY)), "top1").note == "on the build host"
        assert verdicts(a, other)["top1"] == "inconclusive"
    worse = with_host_metric(measured, np.arange(1000) >= 130, data)
    assert verdicts(a, worse)["top1"] == "regressed"


def test_the_same_file_is_the_same_however_few_the_samples(measured: Measurement) -> None:
    [finding] = [f for f in comparison(measured, measured) if f.metric == "top1"]
    assert (finding.verdict, finding.low, finding.high) == ("same", 0, 0)
    assert verdicts(measured, measured)["top1"] == "passed"


def comparison(a: Measurement, b: Measurement) -> tuple[Finding, ...]:
    return compared(tuple(observe(a, b, KEY)), margin_ratio=1.05)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.9, 0.9, "same"), (-1.1, 0.9, "inconclusive"), (-0.9, 1.1, "inconclusive")],
)
def test_the_same_needs_both_bounds_within_the_margin(
    low: float, high: float, verdict: str
) -> None:
    quantity = Quantity("top1", "top-1", "%", True, "difference", margin=1.0)
    observed = Observed("a", quantity, 92.0, 92.0, shift=Shift(low, 0.0, high))
    [finding] = compared([observed], margin_ratio=1.05)
    assert finding.verdict == verdict


ERROR = MetricKind(name="mae", label="MAE", unit="px", higher_is_better=False, gate_margin=0.5)


def test_of_an_error_a_rise_is_worse(measured: Measurement) -> None:
    """A mean whose lower values are better, without a word about it anywhere else."""
    errors = np.random.default_rng(1).gamma(2.0, 1.0, 400)
    good = with_metric(measured, errors, kind=ERROR)
    bad = with_metric(measured, errors + 1.0, kind=ERROR)
    [finding] = [f for f in comparison(good, bad) if f.metric == "mae"]
    assert (finding.verdict, finding.label, finding.unit) == ("worse", "MAE", "px")
    assert finding.mid == pytest.approx(1.0, abs=1e-5)
    assert finding.reason.startswith("rose by 1.00 px")
    [turned] = [f for f in comparison(bad, good) if f.metric == "mae"]
    assert turned.verdict == "better"
    limits = LIMITS | {"mae": 0.5}
    assert [f.verdict for f in gated(tuple(observe(good, bad, KEY)), limits)][-1] == "regressed"
    assert [f.verdict for f in gated(tuple(observe(bad, good, KEY)), limits)][-1] == "passed"


def test_samples_of_a_mean_are_paired_where_the_data_is_the_same() -> None:
    generator = np.random.default_rng(1)
    errors = generator.gamma(2.0, 1.0, 400)
    first, second = mae(errors), mae(errors + generator.normal(0.01, 0.01, 400))
    paired = metric_drop(first, second, same_data=True)
    unrelated = metric_drop(first, second, same_data=False)
    assert paired is not None
    assert unrelated is not None
    assert 0 < paired.low < paired.high < 0.02
    assert unrelated.low < 0 < unrelated.high
    assert metric_drop(mae(errors[:5]), mae(errors[5:10]), same_data=True) is None


def mae(errors: Any) -> MetricValue:
    return metric_value(ERROR, errors, keep_samples=True)


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


KIB, MIB = 1 << 10, 1 << 20


def with_memory(
    measurement: Measurement, empty: int, peak: int, *, peak_before: int | None = None
) -> Measurement:
    """The same, its runner with `empty` bytes before a model is loaded and `peak` bytes at most.
    `peak_before` is what the device said the peak was by then."""
    result = measurement.artifacts[0]

    def marks(at: int) -> tuple[MemoryMark, ...]:
        scatter = 4 * KIB * (at % 3)
        sizes = {"baseline": (empty, peak_before or empty), "end": (peak - 64 * KIB, peak)}
        return tuple(
            MemoryMark.model_validate(
                {"mark": mark, "rss_anon_bytes": size + scatter, "rss_file_bytes": 0}
                | {"rss_shmem_bytes": 0, "peak_rss_bytes": highest + scatter}
            )
            for mark, (size, highest) in sizes.items()
        )

    runs = tuple(run.model_copy(update={"memory": marks(at)}) for at, run in enumerate(result.runs))
    return measurement.model_copy(update={"artifacts": (result.model_copy(update={"runs": runs}),)})


def memory_finding(before: Measurement, after: Measurement) -> Finding:
    [finding] = gated(tuple(observe(before, after, KEY)), {"peak_memory": 1.05})
    return finding


def test_what_the_model_adds_is_judged_and_not_the_runner(measured: Measurement) -> None:
    """A model that grows from 4 to 6 MB beside 38 MB of Python would be 1.05 of the process."""
    python = 38 * MIB
    before = with_memory(measured, python, python + 4 * MIB)
    grown = memory_finding(before, with_memory(measured, python, python + 6 * MIB))
    assert (grown.verdict, grown.a, grown.b) == ("regressed", 4 * MIB, 6 * MIB)
    assert grown.reason.endswith("beside 39.8 MB of the runner's own")
    another_python = with_memory(measured, 45 * MIB, 45 * MIB + 4 * MIB)
    assert memory_finding(before, another_python).verdict == "passed"


def test_what_runs_differ_by_is_no_difference(measured: Measurement) -> None:
    """A quarter of a MiB may be much of a small model's memory, and is what allocators scatter."""
    before = with_memory(measured, 6 * MIB, 7 * MIB)
    close = memory_finding(before, with_memory(measured, 6 * MIB, 7 * MIB + 200 * KIB))
    assert (close.verdict, close.margin) == ("passed", 1.25)
    far = with_memory(measured, 6 * MIB, 7 * MIB + 400 * KIB)
    assert memory_finding(before, far).verdict == "regressed"
    nothing = with_memory(measured, 6 * MIB, 6 * MIB)
    assert memory_finding(nothing, nothing).verdict == "passed"


def test_a_peak_from_before_the_model_is_the_runner_s(measured: Measurement) -> None:
    """Where a process may not reset its peak, that of starting Python stays."""
    run = with_memory(measured, 30 * MIB, 40 * MIB, peak_before=40 * MIB).artifacts[0].runs[0]
    assert run.model_bytes == 10 * MIB - 64 * KIB
    assert run.model_copy(update={"memory": run.memory[:1]}).model_bytes is None
    assert run.model_copy(update={"memory": run.memory[1:]}).model_bytes is None


def test_what_is_invalid_or_meaningless_is_never_passed(measured: Measurement) -> None:
    throttled = measured.model_copy(
        update={
            "notes": (
                MeasurementNote(level="invalid", code="throttled", text="the device throttled"),
            )
        }
    )
    assert set(verdicts(measured, throttled).values()) == {
        "inconclusive",
        "passed",
    }  # the size is what it is
    assert verdicts(measured, throttled)["latency_p50"] == "inconclusive"
    emulated = measured.model_copy(update={"timings": "meaningless", "timings_reason": "qemu"})
    by_metric = verdicts(measured, emulated)
    assert (by_metric["latency_p50"], by_metric["peak_memory"]) == ("inconclusive", "passed")


def test_all_tests_of_a_gate_are_corrected_together(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "two")
    a, b = make_measurement(bundle, number=1), make_measurement(bundle, number=2)
    alone = gated(tuple(observe(a, b, KEY)), LIMITS | {"peak_memory": None})
    both = gated(
        tuple(observe(a, b, [*KEY, ("int8.tflite", "int8.tflite")])), LIMITS | {"peak_memory": None}
    )
    p_alone, p_both = (
        next(f.p for f in findings if f.pair == "fp32.pte" and f.metric == "latency_p50")
        for findings in (alone, both)
    )
    assert p_alone is not None
    assert p_both is not None
    assert p_both >= p_alone
