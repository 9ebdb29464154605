"""Accuracy on a device, counted against hand-made scores: chunks, ties, labels that are missing,
and outputs that are not those of the build host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.manifest import Bundle, open_bundle
from edgekit.devices.target import LocalTarget
from edgekit.errors import EdgekitError, ResultError, UsageError
from edgekit.measure import accuracy
from edgekit.measure.extra_results import Accuracy
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import bench
from edgekit.pipeline.evaluation import write_evaluation
from tests.support.sessions import INPUTS, LABELS, SCORES, with_evaluation, with_program


def measured(bundle: Bundle, target: LocalTarget, samples: int = 99, **options: object) -> Accuracy:
    result = bench(
        bundle,
        target,
        runs=1,
        warmup_min_seconds=0,
        min_seconds=0,
        accuracy_samples=samples,
        **options,
    )  # type: ignore[arg-type]
    found = result.artifacts[0].accuracy
    assert found
    assert Measurement.model_validate_json(result.model_dump_json()) == result
    return found


def test_counted_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "CHUNK_SAMPLES", 2)
    bundle, target = with_program(tmp_path)
    seen: list[float] = []

    def progress(task: str, done: float, total: float, text: str = "") -> None:
        if task == "accuracy on the device":
            assert total == 5
            seen.append(done)

    found = measured(with_evaluation(bundle), target, progress=progress)
    right = found.right_samples()
    assert right is not None
    assert (len(right), right.sum()) == (5, 4)
    assert len(found.data_sha256) == 64
    counted = found.model_copy(update={"right": "", "data_sha256": ""})
    assert counted == Accuracy(
        samples=5, top1_correct=4, top5_correct=None, same_top1=5, max_abs_error=0.0, snr_db=None
    )
    assert seen == [2, 4, 5]
    assert not (tmp_path / "device" / "outputs.bin.inputs").exists()
    assert not any("evaluation" in str(path) for path in (tmp_path / "device").rglob("*"))
    assert measured(open_bundle(bundle.path), target, samples=3).samples == 3


def test_answers_that_are_not_those_of_the_build_host(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path, "wrong")
    found = measured(with_evaluation(bundle), target)
    assert (found.top1_correct, found.same_top1, found.max_abs_error) == (3, 4, 2.0)
    assert found.snr_db == pytest.approx(10 * np.log10(np.sum(SCORES.astype(float) ** 2) / 8))


def test_without_labels(tmp_path: Path) -> None:
    bundle, target = with_program(tmp_path)
    found = measured(with_evaluation(bundle, labels=None), target)
    assert (found.top1_correct, found.same_top1) == (None, 5)


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
    with pytest.raises(UsageError, match="none of the model's 3 classes"):
        measured(with_evaluation(bundle, labels=LABELS + 2), target)


def test_an_altered_evaluation_set_is_refused(tmp_path: Path) -> None:
    bundle = with_evaluation(with_program(tmp_path)[0])
    (bundle.path / "evaluation" / "labels.bin").write_bytes(np.zeros(5, dtype="<i4").tobytes())
    with pytest.raises(EdgekitError, match="does not match its hash"):
        open_bundle(bundle.path)


def test_dense_outputs_shorten_the_set(tmp_path: Path) -> None:
    found = write_evaluation(tmp_path, (INPUTS, LABELS), {"a.pte": SCORES, "b.pte": SCORES[:2]})
    assert (found.samples, found.inputs.bytes, found.outputs["a.pte"].bytes) == (2, 16, 24)
