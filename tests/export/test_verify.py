"""The comparison with eager, the thresholds, and the predictions on the test set."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgekit.bundle.manifest import TensorSpec
from edgekit.bundle.tensors import dequantize, quantize
from edgekit.errors import ExportError
from edgekit.export import verify
from edgekit.export.host_runtime import HostModel
from edgekit.export.verify import (
    OutputAgreement,
    Outputs,
    Thresholds,
    compare,
    evaluate,
    reference_bytes,
    require,
)
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.splits import one_input_split

pytestmark = pytest.mark.torch

REFERENCE = np.array([[3, 0, 4], [0, 5, 0]], dtype=np.float32)


def compared(reference: Outputs, outputs: Outputs) -> OutputAgreement:
    return compare(reference, outputs, CLASSIFICATION)


def test_compare_by_hand() -> None:
    outputs = REFERENCE + np.array(
        [[1, 0, -2], [0, 0, 0]], dtype=np.float32
    )  # the first top class moves from 2 to 0
    agreement = compared(REFERENCE, outputs)
    found = agreement.outputs
    assert found.max_abs_error == 2
    assert found.snr_db == pytest.approx(10 * math.log10(50 / 5))
    assert found.cosine == pytest.approx((3 * 4 + 4 * 2 + 25) / math.sqrt(50 * (16 + 4 + 25)))
    assert agreement.answers_percent == 50
    assert agreement.samples == 2


def test_equal_outputs_have_no_noise() -> None:
    agreement = compared(REFERENCE, REFERENCE)
    found = agreement.outputs
    assert (found.snr_db, found.max_abs_error, agreement.answers_percent) == (None, 0, 100)
    assert found.cosine == pytest.approx(1)
    silent = np.zeros((2, 3), np.float32)
    assert compared(silent, silent).outputs.cosine == 1
    lost = compared(silent, REFERENCE).outputs
    assert lost.cosine == 0
    assert lost.snr_db == -300


def test_agreement_needs_classes() -> None:
    for shape in ((4, 1), (4, 2, 3)):
        ones = np.ones(shape, np.float32)
        assert compared(ones, ones).answers_percent is None


def test_require_names_every_missed_threshold_with_what_was_measured() -> None:
    agreement = compared(REFERENCE, REFERENCE[::-1])
    with pytest.raises(ExportError) as caught:
        require(agreement, Thresholds(samples=2, max_abs_error=1.0))
    for part in (
        "SNR -3.0 dB < 20 dB",
        "cosine 0.0000 < 0.99",
        "largest error 5 > 1",
        "same top-1 on 0.0 % < 98 %",
    ):
        assert part in caught.value.message
    require(compared(REFERENCE, REFERENCE + np.float32(1e-3)), Thresholds(samples=2))


INT8 = TensorSpec(name="x", dtype="int8", shape=(1, 2), scale=0.5, zero_point=-3)


def test_quantize_rounds_to_even_and_saturates() -> None:
    values = np.array([[0.0, 0.25], [0.75, -0.25], [1000.0, -1000.0]], dtype=np.float32)
    np.testing.assert_array_equal(
        quantize(values, INT8), np.array([[-3, -3], [-1, -3], [127, -128]], dtype=np.int8)
    )
    np.testing.assert_array_equal(
        dequantize(np.array([[-3, 1]], np.int8), INT8), np.array([[0.0, 2.0]], np.float32)
    )


def test_a_float_tensor_is_only_cast() -> None:
    spec = TensorSpec(name="x", dtype="float16", shape=(1, 2))
    assert quantize(np.ones((3, 2), np.float32), spec).dtype == np.float16
    assert dequantize(np.ones((3, 2), np.float16), spec).dtype == np.float32


def test_reference_bytes_are_the_tensors_own_sample_after_sample() -> None:
    model = HostModel(INT8, INT8, lambda sample: sample[:, ::-1].copy())
    inputs, outputs = reference_bytes(model, np.array([[0.0, 0.5], [1.0, 1.5]], dtype=np.float32))
    assert np.frombuffer(inputs, np.int8).tolist() == [-3, -2, -1, 0]
    assert np.frombuffer(outputs, np.int8).tolist() == [-2, -3, 0, -1]


def plain(function: object) -> HostModel:
    spec = TensorSpec(name="x", dtype="float32", shape=(1, 3))
    return HostModel(spec, spec, function)  # type: ignore[arg-type]


def test_the_whole_test_set_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = torch.eye(3).repeat(50, 1)
    test = one_input_split(inputs, torch.arange(150) % 3, (3,))
    outputs, [top1] = evaluate(
        plain(lambda sample: np.roll(sample, 1, axis=1) if sample[0, 0] else sample),
        test,
        CLASSIFICATION,
    )
    assert outputs.shape == (150, 3)
    assert (top1.right, top1.samples) == (100, 150)
    monkeypatch.setattr(verify, "KEPT_OUTPUT_BYTES", 64 * 3 * 4)
    kept, [top1] = evaluate(plain(lambda sample: sample), test, CLASSIFICATION)
    assert len(kept) == 64
    assert top1.right == 150
    unlabelled = one_input_split(inputs, None, (3,))
    assert evaluate(plain(lambda sample: sample), unlabelled, CLASSIFICATION)[1] == ()


def test_outputs_that_are_not_finite_are_refused() -> None:
    test = one_input_split(torch.zeros(70, 3), None, (3,))
    with pytest.raises(ExportError, match="NaN or infinity on a test sample from 0 on"):
        evaluate(plain(lambda sample: sample / 0), test, CLASSIFICATION)
