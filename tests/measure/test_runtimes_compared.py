"""The two formats of a variant, as the device computed them: how often they agree, and how far they
are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.directory import Bundle
from edgekit.devices.local import LocalDevice
from edgekit.measure.interleaving import measure_in_turn
from edgekit.measure.measurement import Measurement
from edgekit.measure.runner_process import Placed
from edgekit.stats import snr_db
from tests.support.measured import SAMPLES, make_bundle
from tests.support.sessions import SETTINGS, TARGET, outputs_of, place, run

KEYS = ["fp32.pte", "fp32.tflite", "int8.tflite"]
VALUES = np.arange(SAMPLES * 3, dtype=np.float32) + 1
OTHERS = VALUES + np.array(
    [0, 0, -5] + [0.25] * 9, dtype=np.float32
)  # another answer to the first sample


def measured_together(sides: list[tuple[Bundle, list[Placed]]]) -> tuple[Measurement, ...]:
    return measure_in_turn(sides, TARGET, LocalDevice("desk"), SETTINGS, before_run=lambda: None)


def test_both_formats_in_one_measurement(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", KEYS)
    placed = place(bundle, tmp_path)
    outputs_of(placed[1], OTHERS)
    [comparison] = run(bundle, placed).runtimes
    assert (comparison.a, comparison.b, comparison.samples, comparison.agreement_percent) == (
        "fp32.pte",
        "fp32.tflite",
        SAMPLES,
        100 * (SAMPLES - 1) / SAMPLES,
    )
    assert comparison.snr_db == pytest.approx(snr_db(VALUES, OTHERS))


def test_the_formats_as_two_sides_of_a_comparison(tmp_path: Path) -> None:
    bundle, other = (
        make_bundle(tmp_path / "bundle", KEYS),
        make_bundle(tmp_path / "other", ["fp32.tflite"], text="another build"),
    )
    placed = place(bundle, tmp_path)
    sides = [(bundle, placed[:1]), (bundle, placed[1:])]
    for measurement in measured_together(sides):
        [pair] = measurement.runtimes
        assert (pair.snr_db, pair.agreement_percent) == (None, 100)
        assert Measurement.model_validate_json(measurement.model_dump_json()) == measurement
        assert measurement.as_dict()["runtimes"][0]["a"] == "fp32.pte"
    (tmp_path / "elsewhere").mkdir()
    apart = measured_together([(bundle, placed[:1]), (other, place(other, tmp_path / "elsewhere"))])
    assert [measurement.runtimes for measurement in apart] == [
        (),
        (),
    ], "another build's file is no other format of this one"
