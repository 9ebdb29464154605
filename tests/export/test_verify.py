"""The comparison with eager, the thresholds, and the predictions on the test set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgekit.backends.host_model import Arrays, HostModel
from edgekit.bundle.manifest import TensorSpec
from edgekit.errors import ExportError
from edgekit.export import verify
from edgekit.export.verify import (
    OutputAgreement,
    Thresholds,
    compare,
    eager_outputs,
    evaluate,
    reference_bytes,
    require,
)
from edgekit.sample_steps.tensors import dequantize, quantize
from edgekit.tasks.classification import CLASSIFICATION
from tests.support.splits import one_input_split

pytestmark = pytest.mark.torch

REFERENCE = np.array([[3, 0, 4], [0, 5, 0]], dtype=np.float32)


def compared(reference: Arrays, outputs: Arrays) -> OutputAgreement:
    return compare(reference, outputs, CLASSIFICATION)


def test_compare_by_hand() -> None:
    outputs = REFERENCE + np.array(
        [[1, 0, -2], [0, 0, 0]], dtype=np.float32
    )  # the first top class moves from 2 to 0
    total = compared({"y": REFERENCE}, {"y": outputs})
    assert total.max_abs_error == 2
    assert total.snr_db == pytest.approx(10 * math.log10(50 / 5))
    assert total.cosine == pytest.approx((3 * 4 + 4 * 2 + 25) / math.sqrt(50 * (16 + 4 + 25)))
    assert total.answers_percent == 50
    assert total.samples == 2


def test_equal_outputs_have_no_noise() -> None:
    total = compared({"y": REFERENCE}, {"y": REFERENCE})
    assert (total.snr_db, total.max_abs_error, total.answers_percent) == (None, 0, 100)
    assert total.cosine == pytest.approx(1)
    silent = {"y": np.zeros((2, 3), np.float32)}
    assert compared(silent, silent).cosine == 1
    lost = compared(silent, {"y": REFERENCE})
    assert lost.cosine == 0
    assert lost.snr_db == -300


def test_agreement_needs_one_vector_of_classes() -> None:
    for shape in ((4, 1), (4, 2, 3)):
        values = {"y": np.ones(shape, np.float32)}
        assert compared(values, values).answers_percent is None


def test_require_names_every_missed_threshold_with_what_was_measured() -> None:
    agreement = compared({"y": REFERENCE}, {"y": REFERENCE[::-1]})
    with pytest.raises(ExportError) as caught:
        require(agreement, Thresholds(samples=2, max_abs_error=1.0))
    for part in (
        "SNR -3.0 dB < 20 dB",
        "cosine 0.0000 < 0.99",
        "largest error 5 > 1",
        "same top-1 on 0.0 % < 98 %",
    ):
        assert part in caught.value.message
    near = compared({"y": REFERENCE}, {"y": REFERENCE + np.float32(1e-3)})
    require(near, Thresholds(samples=2))


def test_one_bad_output_among_several_is_named() -> None:
    boxes, ids = np.ones((2, 4), np.float32), np.array([[1, 2], [3, 4]])
    reference = {"boxes": boxes, "ids": ids, "logits": REFERENCE}
    outputs = {"boxes": boxes, "ids": ids[:, ::-1], "logits": -REFERENCE}
    with pytest.raises(ExportError) as caught:
        require(compared(reference, outputs), Thresholds(samples=2))
    assert "output logits: SNR -6.0 dB < 20 dB" in caught.value.message
    assert "output ids: 0.0 % of its integers are equal < 98 %" in caught.value.message
    assert "boxes" not in caught.value.message
    equal = compared(reference, dict(reference))
    require(equal, Thresholds(samples=2))
    assert (equal.snr_db, equal.max_abs_error) == (None, 0.0)


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


def test_integers_that_are_not_quantized_stay_integers() -> None:
    spec = TensorSpec(name="ids", dtype="int32", shape=(1, 2), model_dtype="int64")
    ids = np.array([[1, 2**24 + 1]])
    assert quantize(ids, spec).dtype == np.int32
    assert dequantize(quantize(ids, spec), spec).tolist() == ids.tolist()


def test_reference_bytes_are_the_tensors_own_sample_after_sample() -> None:
    ids = TensorSpec(name="ids", dtype="int32", shape=(1, 1))
    model = HostModel(
        (INT8, ids),
        (ids, INT8),
        lambda sample: {"x": sample["x"][:, ::-1], "ids": sample["ids"] + 1},
    )
    samples = {
        "ids": np.array([[7], [8]]),
        "x": np.array([[0.0, 0.5], [1.0, 1.5]], dtype=np.float32),
    }
    inputs, outputs = reference_bytes(model, samples)
    assert inputs == b"\xfd\xfe\x07\x00\x00\x00\xff\x00\x08\x00\x00\x00"
    assert outputs == b"\x08\x00\x00\x00\xfe\xfd\x09\x00\x00\x00\x00\xff"


def plain(function: Callable[[NDArray[Any]], NDArray[Any]]) -> HostModel:
    spec = TensorSpec(name="input", dtype="float32", shape=(1, 3))
    output = spec.model_copy(update={"name": "x"})
    return HostModel((spec,), (output,), lambda sample: {"x": function(sample["input"])})


def test_eager_outputs_are_named_and_batches_are_joined() -> None:
    def model(values: torch.Tensor, ids: torch.Tensor) -> dict[str, object]:
        return {"sum": values + ids, "both": (values.double(), ids)}

    samples = {"values": torch.ones(100, 2), "ids": torch.arange(200).reshape(100, 2)}
    outputs = eager_outputs(model, samples)  # type: ignore[arg-type]
    assert list(outputs) == ["sum", "both_0", "both_1"]
    assert [str(values.dtype) for values in outputs.values()] == ["float32", "float32", "int64"]
    np.testing.assert_array_equal(outputs["both_1"], samples["ids"].numpy())


def test_the_whole_test_set_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = torch.eye(3).repeat(50, 1)
    test = one_input_split(inputs, torch.arange(150) % 3, (3,))
    evaluated = evaluate(
        plain(lambda sample: np.roll(sample, 1, axis=1) if sample[0, 0] else sample),
        test,
        CLASSIFICATION,
    )
    assert evaluated.outputs["x"].shape == (150, 3)
    top1 = evaluated.metrics[0]
    assert (top1.right, top1.samples) == (100, 150)
    material = top1.material()
    assert material is not None
    assert material[:4, 0].tolist() == [0, 1, 1, 0]
    monkeypatch.setattr(verify, "KEPT_OUTPUT_BYTES", 64 * 3 * 4)
    shorter = evaluate(plain(lambda sample: sample), test, CLASSIFICATION)
    assert len(shorter.outputs["x"]) == 64
    assert shorter.metrics[0].right == 150
    unlabelled = one_input_split(inputs, None, (3,))
    without_targets = evaluate(plain(lambda sample: sample), unlabelled, CLASSIFICATION)
    assert (without_targets.metrics, without_targets.data_sha256) == ((), "")


def test_a_test_set_is_told_from_others() -> None:
    """By its targets, their order, and its first samples; not by how it is normalised."""
    inputs, targets = torch.eye(3).repeat(50, 1), torch.arange(150) % 3

    def data_sha256(inputs: torch.Tensor, targets: torch.Tensor) -> str:
        test = one_input_split(inputs, targets, (3,))
        return evaluate(plain(lambda sample: sample), test, CLASSIFICATION).data_sha256

    same = data_sha256(inputs, targets)
    assert same == data_sha256(inputs.clone(), targets.clone())
    assert same != data_sha256(inputs, targets.flip(0))
    assert same != data_sha256(inputs + 1, targets)
    assert same != data_sha256(inputs[:149], targets[:149])


def test_outputs_that_are_not_finite_are_refused() -> None:
    test = one_input_split(torch.zeros(70, 3), None, (3,))
    with pytest.raises(ExportError, match="NaN or infinity on a test sample from 0 on"):
        evaluate(plain(lambda sample: sample / 0), test, CLASSIFICATION)
