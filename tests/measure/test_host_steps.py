"""Before and after the inference: what is timed does what it stands for, and is shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.bundle.directory import Bundle, open_bundle, write_manifest
from edgekit.bundle.manifest import ModelInput, TensorSpec
from edgekit.bundle.tensors import dequantize, quantize
from edgekit.cli import run
from edgekit.measure.extra_results import HostSteps
from edgekit.measure.host_steps import MIN_ITERATIONS, from_raw, median_ns, tensors, to_raw
from edgekit.measure.measurement import Measurement
from edgekit.reporting.extra_results import observations
from edgekit.reporting.page.observed import pipeline_block
from edgekit.reporting.page.values import Absent, Table
from tests.support.desk import QUICK, make_desk
from tests.support.measured import make_bundle, make_measurement
from tests.support.terminal import printed

PIXELS = ModelInput(shape=(3, 4, 5), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
FLOATS = TensorSpec(name="image", dtype="float32", shape=(1, 3, 4, 5))
INTEGERS = TensorSpec(name="image", dtype="int8", shape=(1, 3, 4, 5), scale=0.05, zero_point=-3)


@pytest.mark.parametrize("spec", [FLOATS, INTEGERS])
def test_raw_pixels_become_the_models_bytes(spec: TensorSpec) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (1, 3, 4, 5), dtype=np.uint8)
    parts = (PIXELS.mean, PIXELS.std)
    mean, std = (np.array(part, dtype=np.float32)[:, None, None] for part in parts)
    real = (pixels.astype(np.float32) / 255 - mean) / std
    made = np.frombuffer(from_raw(pixels, spec, PIXELS), spec.dtype).reshape(spec.shape)
    expected = quantize(real, spec)
    np.testing.assert_allclose(dequantize(made, spec), dequantize(expected, spec), atol=1e-5)
    np.testing.assert_array_equal(to_raw(quantize(real, FLOATS), FLOATS, PIXELS), pixels)


def test_series_have_their_channels_last() -> None:
    series = ModelInput(shape=(6, 2), mean=(1.0, 2.0), std=(1.0, 0.5))
    spec = TensorSpec(name="x", dtype="float32", shape=(1, 6, 2))
    made = np.frombuffer(from_raw(np.full((1, 6, 2), 255, np.uint8), spec, series), np.float32)
    assert made.reshape(6, 2)[0].tolist() == [0.0, -2.0]


def test_other_inputs_are_only_cast() -> None:
    spec = TensorSpec(name="ids", dtype="int32", shape=(1, 2))
    raw = to_raw(np.array([[3, 4]], np.int32), spec, ModelInput(shape=(2,), dtype="int64"))
    assert raw.tolist() == [[3, 4]]
    assert np.frombuffer(from_raw(raw, spec, ModelInput(shape=(2,))), np.int32).tolist() == [3, 4]


def test_samples_of_several_tensors_come_apart() -> None:
    specs = (
        TensorSpec(name="a", dtype="int8", shape=(1, 3)),
        TensorSpec(name="b", dtype="float32", shape=(1,)),
    )
    data = b"".join(bytes([n, n, n]) + np.float32(n).tobytes() for n in (1, 2))
    first, second = tensors(data, specs)
    assert (first["a"].tolist(), second["b"].tolist()) == ([[1, 1, 1]], [2.0])


def test_each_sample_has_its_turn() -> None:
    samples_run: list[int] = []
    assert median_ns(samples_run.append, [1, 2, 3]) > 0
    assert len(samples_run) > MIN_ITERATIONS
    assert samples_run[:4] in ([1, 2, 3, 1], [2, 3, 1, 2], [3, 1, 2, 3])


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", ["fp32.pte"])


def shown(measurement: Measurement) -> str:
    return printed(*observations(measurement))


def test_bench_times_both_steps(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    desk = make_desk(tmp_path, bundle)
    [measured] = edgekit.bench(
        bundle, str(desk), settings={**QUICK, "runs": 1}, pipeline=True
    ).values()
    steps = measured.artifacts[0].pipeline
    assert steps
    assert steps.where == "device"
    assert steps.pre_ns > 0
    assert steps.post_ns
    assert not steps.without_post
    assert "Before and after the inference" in shown(measured)
    assert run(["bench", str(bundle.path), "-t", str(desk), "--quick", "--pipeline", "--json"]) == 0
    [artifact] = json.loads(capsys.readouterr().out)["artifacts"]
    assert artifact["pipeline"]["post_ns"] > 0
    table = pipeline_block(measured, "edgekit bench")
    assert isinstance(table, Table)
    assert table.rows[0][0].text == "fp32.pte"


def test_what_was_not_timed_is_said(bundle: Bundle) -> None:
    plain = make_measurement(bundle)
    assert isinstance(pipeline_block(plain, "edgekit bench net"), Absent)
    steps = HostSteps(where="host", pre_ns=1000.0, without_post="nobody says how")
    [result] = plain.artifacts
    timed = result.model_copy(update={"pipeline": steps})
    remote = plain.model_copy(update={"artifacts": (timed,)})
    text = shown(remote)
    assert "on this machine, not on pi4" in text
    assert "nobody says how" in text
    block = pipeline_block(remote, "edgekit bench net")
    assert isinstance(block, Table)
    assert "not on pi4" in block.caption
    assert [cell.text for cell in block.rows[0]][-2:] == ["n/a", "–"]


def test_a_model_without_a_task_has_no_second_step(bundle: Bundle, tmp_path: Path) -> None:
    write_manifest(bundle.path, bundle.manifest.model_copy(update={"task": None}))
    desk = make_desk(tmp_path, bundle)
    [measured] = edgekit.bench(
        open_bundle(bundle.path),
        str(desk),
        settings={**QUICK, "runs": 1},
        pipeline=True,
        store=False,
    ).values()
    steps = measured.artifacts[0].pipeline
    assert steps
    assert steps.post_ns is None
    assert "does not say how" in steps.without_post
