"""Tables of what was observed beside latency."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.devices.probe import Probe
from edgekit.measure.extra_results import DeviceEvaluation, Energy, OperatorTime, Profile, Sustained
from edgekit.measure.measurement import Measurement
from edgekit.measure.protocol_lines import WindowValues
from edgekit.reporting.extra_results import observations
from tests.support.measured import make_bundle, make_measurement, top1
from tests.support.terminal import printed


def shown(measurement: Measurement) -> str:
    return printed(*observations(measurement))


@pytest.fixture
def measurement(tmp_path: Path) -> Measurement:
    return make_measurement(make_bundle(tmp_path / "bundle"))


def observed(measurement: Measurement, **results: object) -> Measurement:
    first, *others = measurement.artifacts
    return measurement.model_copy(update={"artifacts": (first.model_copy(update=results), *others)})


def test_nothing_where_nothing_was_observed(measurement: Measurement) -> None:
    assert shown(measurement) == ""


def test_operators_by_time(measurement: Measurement) -> None:
    rows = [
        OperatorTime(
            name=f"Convolution #{i}",
            layer=f"[red]block{i}",
            delegated=i != 3,
            mean_ns=1000.0 * i,
            share=i / 120,
        )
        for i in range(1, 16)
    ]
    text = shown(
        observed(measurement, profile=Profile(inferences=64, median_ns=2e5, operators=tuple(rows)))
    )
    assert "Where fp32.pte spends its time" in text
    lines = text.splitlines()
    assert next(line for line in lines if "Convolution" in line).split() == [
        "Convolution",
        "#15",
        "[red]block15",
        "15.0",
        "12.5",
    ]
    assert next(line for line in lines if "others" in line).split() == [
        "3",
        "others",
        "6.00",
        "5.0",
    ]
    assert "no time by operator: none here" in shown(
        observed(measurement, profile=Profile(unavailable="none here"))
    )


def test_burst_and_sustained_are_two_numbers(measurement: Measurement) -> None:
    probes = (
        Probe(kind="temperature_c", name="cpu", path="/t", scale=1e-3),
        Probe(kind="frequency_khz", name="p", path="/f"),
    )
    values = [(45_000, 1_800_000)] * 5 + [(81_000, 1_000_000)] * 4
    windows = tuple(
        WindowValues(
            at_ns=i * 10**9,
            iterations=100 * i,
            ns=(2_000_000 if i < 5 else 3_000_000,) if i else (),
            values=v,
        )
        for i, v in enumerate(values)
    )
    with_windows = observed(
        measurement, sustained=Sustained(seconds=8, windows=windows, throttled="clock capped")
    )
    line = next(
        line
        for line in shown(with_windows.model_copy(update={"probes": probes})).splitlines()
        if line.startswith("fp32.pte")
    )
    assert line.split() == [
        "fp32.pte",
        "(clock",
        "capped)",
        "8",
        "2.00",
        "3.00",
        "+50.0",
        "%",
        "100",
        "45.0–81.0",
        "1000–1800",
    ]


def test_metrics_and_energy(measurement: Measurement) -> None:
    evaluation = DeviceEvaluation(
        samples=400,
        metrics=(top1(360, 400),),
        agreement_percent=99.75,
        max_abs_error=0.25,
        snr_db=None,
    )
    energy = Energy(
        sensor="ina226", joules=0.0123, gross_joules=0.02, idle_watts=2.5, inferences=100
    )
    text = shown(observed(measurement, evaluation=evaluation, energy=energy))
    assert "Metrics on the device, 400 samples" in text
    assert next(line for line in text.splitlines() if "top-1" in line).split() == [
        *("fp32.pte", "top-1", "%", "90.00", "(86.7–92.6)", "99.75", "0.25", "equal")
    ]
    assert next(line for line in text.splitlines() if "ina226" in line).split() == [
        "fp32.pte",
        "ina226",
        "12.3",
        "20.0",
        "2.50",
        "100",
    ]
    assert "energy is not available: no sensor" in shown(
        observed(measurement, energy=Energy(unavailable="no sensor"))
    )


def test_a_task_with_many_metrics_fits_eighty_columns(measurement: Measurement) -> None:
    """Each has a row, so that no number is broken in two."""
    kinds = [
        top1(360, 400).model_copy(update={"name": f"m{i}", "label": f"metric {i}"})
        for i in range(5)
    ]
    evaluation = DeviceEvaluation(
        samples=400,
        metrics=tuple(kinds),
        agreement_percent=99.75,
        max_abs_error=1.9e-05,
        snr_db=132.2,
    )
    several = observed(measurement, evaluation=evaluation)
    text = printed(*observations(several), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("(86.7–92.6)") == 5
    assert [line for line in text.splitlines() if "metric 4" in line]
