"""A recipe whose model keeps a state: trained over series, quantized, exported, and run on a device
that carries the state over. And what cannot be: states without an output, samples that are no
series."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgekit
from edgekit.devices.target import LocalTarget
from edgekit.errors import ModelError, UsageError
from edgekit.pipeline.build import BuildResult
from tests.support.memory_net import RECIPE, STEPS, write_recipe

pytestmark = [pytest.mark.torch, pytest.mark.slow]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    place = tmp_path_factory.mktemp("states")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(place / "cache"))
        return edgekit.build(write_recipe(place, RECIPE), output=place / "out")


def test_all_variants_have_learned_to_remember(built: BuildResult) -> None:
    manifest = built.bundle.manifest
    assert manifest.inputs["memory"].from_output == "hidden"
    assert {artifact.key for artifact in manifest.artifacts} == {
        f"{variant}.{suffix}"
        for variant in ("fp32", "int8", "dynamic")
        for suffix in ("pte", "tflite")
    }
    for artifact in manifest.artifacts:
        top1 = artifact.verification.metrics[0]
        # One step alone says little of the sum so far.
        assert top1.value > 85, artifact.key
        assert top1.samples == 20 * STEPS


def test_the_evaluation_set_holds_the_steps_of_series(built: BuildResult) -> None:
    evaluation = built.bundle.manifest.evaluation
    assert evaluation is not None
    assert (evaluation.samples, evaluation.steps) == (12 * STEPS, STEPS)
    assert [tensor.name for tensor in evaluation.inputs] == ["x"]
    assert evaluation.targets is not None
    assert evaluation.targets.shape == ()


def test_a_device_carries_the_state_over(
    built: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are those of the build host on all steps, in several chunks, and its outputs on
    the reference too."""
    from edgekit.measure import evaluation

    monkeypatch.setattr(evaluation, "CHUNK_SAMPLES", 25)  # two series
    target = LocalTarget(edgekit=1, name="here", kind="local", workdir=str(tmp_path / "device"))
    [measured] = edgekit.bench(
        built.bundle,
        target,
        settings={"runs": 1, "min_seconds": 0.01},
        accuracy_samples=57,
        store=False,
    ).values()
    for result in measured.artifacts:
        assert result.evaluation is not None
        assert result.evaluation.samples == 5 * STEPS
        assert result.evaluation.agreement_percent == 100, result.artifact.key
        assert result.evaluation.max_abs_error < 1e-5, result.artifact.key
        assert all(output.equal for output in result.outputs), result.artifact.key


@pytest.mark.nightly
def test_fake_quantization_learns_over_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QAT carries the state over while it trains, as the training before it did."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    ptq = "{stage: quantize, method: ptq, calibration_samples: 64, export: int8}"
    training = "{epochs: 2, lr: 0.002, batch_size: 32}"
    qat = f"{{stage: quantize, method: qat, train: {training}, export: int8}}"
    assert ptq in RECIPE
    built = edgekit.build(write_recipe(tmp_path, RECIPE.replace(ptq, qat)), output=tmp_path / "out")
    trained = {row.stage: row for row in built.trace}
    assert trained["int8"].kind == "quantize"
    for artifact in built.bundle.manifest.artifacts:
        assert artifact.verification.metrics[0].value > 85, artifact.key


def built_with(place: Path, *changes: tuple[str, str]) -> None:
    text = RECIPE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    edgekit.build(write_recipe(place, text), output=place / "out")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("from_output: hidden", "from_output: hiden"), "the model has no output 'hiden'"),
        (("[16], from_output: hidden", "[16], from_output: scores"), r"feeds it, is \(2,\)"),
        (("shape: [16]", "shape: [8]"), "does not run on input"),
        (("epochs: 8", "augment: [horizontal_flip], epochs: 8"), "series, which are not changed"),
        (("shape: [3]", "shape: [10, 3]"), r"a series of 10×3"),
    ],
)
def test_what_does_not_fit(
    change: tuple[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=words):
        built_with(tmp_path, change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("{shape: [3]}", "{shape: [3], from_output: scores}"), "all are states"),
        (("[16], from", "[16], mean: [0], from"), "a state is not normalised"),
        (("[16], from", "[16], dtype: int32, from"), "a state is float32"),
    ],
)
def test_what_cannot_be_written(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        built_with(tmp_path, change)


def test_lint_says_so_before_any_training(tmp_path: Path) -> None:
    file = write_recipe(tmp_path, RECIPE.replace("from_output: hidden", "from_output: scores"))
    [error] = [each for each in edgekit.lint(file) if each.severity == "error"]
    assert "the output scores, which feeds it, is (2,)" in error.message
