"""Metrics on a device, counted against hand-made scores: chunks, ties, labels that are missing,
and outputs that are not those of the build host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.directory import Bundle, open_bundle
from edgekit.devices.target import LocalTarget
from edgekit.errors import EdgekitError, ResultError, UsageError
from edgekit.measure import evaluation
from edgekit.measure.extra_results import DeviceEvaluation
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import Extras
from edgekit.pipeline.evaluation import write_evaluation
from tests.support.measured import bench
from tests.support.sessions import INPUTS, LABELS, SCORES, with_evaluation, with_program


def measured(
    bundle: Bundle, target: LocalTarget, samples: int = 99, **options: Any
) -> DeviceEvaluation:
    result = bench(
        bundle,
        target,
        runs=1,
        warmup_min_seconds=0,
        min_seconds=0,
        extras=Extras(evaluation_samples=samples),
        **options,
    )
    device_evaluation = result.artifacts[0].evaluation
    assert device_evaluation
    assert Measurement.model_validate_json(result.model_dump_json()) == result
    return device_evaluation


def test_counted_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "CHUNK_SAMPLES", 2)
    bundle, target = with_program(tmp_path)
    samples_done: list[float] = []

    def progress(task: str, done: float, total: float, text: str = "") -> None:
        if task == "evaluation on the device":
            assert total == 5
            samples_done.append(done)

    device_evaluation = measured(with_evaluation(bundle), target, progress=progress)
    top1, *_ = device_evaluation.metrics
    right = top1.material()
    assert right is not None
    assert right[:, 0].tolist() == [1, 0, 1, 1, 1]
    assert (top1.name, top1.right, top1.samples) == ("top1", 4, 5)
    assert len(device_evaluation.data_sha256) == 64
    assert device_evaluation.model_copy(
        update={"metrics": (), "data_sha256": ""}
    ) == DeviceEvaluation(
        samples=5, metrics=(), agreement_percent=100, max_abs_error=0.0, snr_db=None
    )
    assert samples_done == [2, 4, 5]
    assert not (tmp_path / "device" / "outputs.bin.inputs").exists()
    assert not any("evaluation" in str(path) for path in (tmp_path / "device").rglob("*"))
    assert measured(open_bundle(bundle.path), target, samples=3).samples == 3


def test_answers_that_are_not_those_of_the_build_host(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path, "wrong")
    device_evaluation = measured(with_evaluation(bundle), target)
    assert (
        device_evaluation.metrics[0].right,
        device_evaluation.agreement_percent,
        device_evaluation.max_abs_error,
    ) == (3, 80, 2.0)
    assert device_evaluation.snr_db == pytest.approx(
        10 * np.log10(np.sum(SCORES.astype(float) ** 2) / 8)
    )


def test_without_labels(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path)
    device_evaluation = measured(with_evaluation(bundle, labels=None), target)
    assert (
        device_evaluation.metrics,
        device_evaluation.agreement_percent,
        device_evaluation.data_sha256,
    ) == ((), 100, "")


@pytest.mark.parametrize(
    ("behaviour", "words"), [("nan", "NaN or infinite"), ("drop", "no outputs")]
)
def test_bad_outputs_are_refused(tmp_path: Path, behaviour: str, words: str) -> None:
    bundle, target = with_program(tmp_path)
    program = Path(str(target.runners.executorch.program))
    evaluating = program.read_text().replace(" good ", f" {behaviour} ").splitlines()[1]
    program.write_text(
        program.read_text().replace("exec", f'case "$*" in *evaluate*) {evaluating} ;; esac\nexec')
    )
    with pytest.raises(ResultError, match=words):
        measured(with_evaluation(bundle), target)


def test_a_bundle_without_an_evaluation_set(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path)
    with pytest.raises(UsageError, match="holds no evaluation set"):
        measured(bundle, target)
    assert not (tmp_path / "device").exists()


def test_labels_beyond_the_classes(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path)
    with pytest.raises(UsageError, match="the data has class 4, but the model only 3 outputs"):
        measured(with_evaluation(bundle, labels=LABELS + 2), target)


def test_an_altered_evaluation_set_is_refused(tmp_path: Path) -> None:
    bundle = with_evaluation(with_program(tmp_path)[0])
    (bundle.path / "evaluation" / "targets.bin").write_bytes(np.zeros(5, dtype="<i4").tobytes())
    with pytest.raises(EdgekitError, match="does not match its hash"):
        open_bundle(bundle.path)


def test_dense_outputs_shorten_the_set(tmp_path: Path) -> None:
    outputs = {"a.pte": {"logits": SCORES}, "b.pte": {"logits": SCORES[:2]}}
    evaluation_set = write_evaluation(tmp_path, ({"x": INPUTS}, LABELS), outputs)
    files = (evaluation_set.inputs[0].file, evaluation_set.outputs["a.pte"][0].file)
    assert (evaluation_set.samples, *(file.bytes for file in files)) == (2, 16, 24)


def test_a_task_that_is_not_on_this_machine(tmp_path: Path) -> None:
    """What the files hold is still shown; nothing can be evaluated."""
    bundle, target = with_program(tmp_path)
    evaluated = with_evaluation(bundle)
    manifest = evaluated.manifest.model_copy(update={"task": "their_tasks:KEYPOINTS"})
    foreign = evaluated.model_copy(update={"manifest": manifest})
    with pytest.raises(UsageError, match=r"cannot be evaluated on this machine.*their_tasks"):
        measured(foreign, target)
    plain = bench(foreign, target, runs=1, warmup_min_seconds=0, min_seconds=0)
    assert plain.artifacts[0].artifact.verification.metrics[0].label == "top-1"
