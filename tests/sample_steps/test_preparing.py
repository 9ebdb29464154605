"""Before the inference: raw values become what the model takes, and stored samples raw values."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.bundle.manifest import ModelInput, TensorSpec
from edgekit.sample_steps.preparing import from_raw, raw_samples, to_raw, whole_input
from edgekit.sample_steps.tensors import dequantize, quantize, samples_in
from edgekit.sample_steps.timing import MIN_ITERATIONS, WARMUP_ITERATIONS, times_ns

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


def test_samples_of_several_tensors_come_apart_and_together() -> None:
    specs = (
        TensorSpec(name="a", dtype="int8", shape=(1, 3)),
        TensorSpec(name="b", dtype="float32", shape=(1,)),
    )
    data = b"".join(bytes([n, n, n]) + np.float32(n).tobytes() for n in (1, 2))
    first, second = samples_in(data, specs)
    assert (first["a"].tolist(), second["b"].tolist()) == ([[1, 1, 1]], [2.0])
    plain = (ModelInput(shape=(3,)), ModelInput(shape=()))
    raw = raw_samples(data, specs, plain)
    assert b"".join(part for sample in raw for part in whole_input(sample, specs, plain)) == data


def test_each_sample_has_its_turn() -> None:
    samples_run: list[int] = []
    times = times_ns(samples_run.append, [1, 2, 3])
    assert MIN_ITERATIONS <= len(times) == len(samples_run) - WARMUP_ITERATIONS
    assert min(times) >= 0
    assert samples_run[:4] in ([1, 2, 3, 1], [2, 3, 1, 2], [3, 1, 2, 3])
